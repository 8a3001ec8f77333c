"""Reads the records of a split, and writes and reads token files: records as a model sees them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medtune.runtime.errors import InputError
from medtune.runtime.files import replacing
from medtune.runtime.progress import progress

TOKENS = Path("data/tokens")
PROMPT_FORMAT = TOKENS / "prompt.json"
TEXTS = pa.schema(  # what the split stage wrote
    {name: pa.string() for name in ("id", "kind", "topic", "group", "question", "answer")}
)
HISTORY = pa.field(  # the messages before the question; only data sets with conversations have it
    "history", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
)
SCHEMA = pa.schema(
    [
        *TEXTS,
        ("input_ids", pa.list_(pa.int32())),  # prompt, answer, end-of-turn token
        ("prompt_length", pa.int32()),
        ("loss_start", pa.int32()),  # training's loss covers input_ids[loss_start:]
        ("truncated", pa.bool_()),
    ]
)
CONVERSATIONS = pa.schema(  # of a data set with conversations
    [
        *SCHEMA,
        HISTORY,  # as far as it is in the prompt
        ("turns_left_out", pa.int32()),  # earlier questions for which the prompt has no room
        ("masked_spans", pa.list_(pa.list_(pa.int32(), 2))),  # (start, stop) without loss
    ]
)
# of a token file; data sets with conversations also have `rows` and `turns_left_out`
COUNTS = ("records", "tokens", "supervised_tokens", "truncated", "dropped")
BATCH = 10_000  # records in memory at a time


def has_history(path: Path) -> bool:
    """Whether a split has conversations; raises InputError that says how to make the file."""
    with _split_file(path) as file:
        return HISTORY.name in file.schema_arrow.names


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields the texts of a split, with HISTORY if it has conversations. Raises InputError."""
    schema = TEXTS.append(HISTORY) if has_history(path) else TEXTS
    with _split_file(path) as file, progress(total=file.metadata.num_rows, unit="record") as bar:
        for records in file.iter_batches(BATCH, columns=schema.names):
            yield records.select(schema.names).cast(schema)
            bar.update(records.num_rows)


@contextmanager
def _split_file(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro split") from None
    except pa.ArrowInvalid:
        raise InputError(f"{path} is an incomplete Parquet file: run dvc repro -f split") from None


@contextmanager
def token_writer(path: Path, schema: pa.Schema = SCHEMA) -> Iterator[pa.RecordBatchFileWriter]:
    """Yields a writer for rows of the schema; they replace the file at the end."""
    with replacing(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        yield writer


def read_tokens(path: Path) -> pa.Table:
    """Maps a token file into memory; raises InputError with the command that makes it."""
    try:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro tokenize") from None
    except pa.ArrowInvalid:
        raise InputError(f"{path} is not a whole Arrow file: run dvc repro -f tokenize") from None


def count(rows: pa.RecordBatch, records: int) -> Counter[str]:
    """Returns the COUNTS of rows that were made from so many records."""
    tokens = len(rows["input_ids"].flatten())
    counts = Counter(records=rows.num_rows, tokens=tokens, truncated=rows["truncated"].true_count)
    counts["supervised_tokens"] = tokens - int(rows["loss_start"].to_numpy().sum())
    if rows.schema == CONVERSATIONS:
        edges = rows["masked_spans"].flatten().flatten().to_numpy()  # start, stop, start, …
        counts["supervised_tokens"] -= int((edges[1::2] - edges[::2]).sum())
        counts["records"], counts["rows"] = len(rows["id"].unique()), rows.num_rows
        counts["turns_left_out"] = int(rows["turns_left_out"].to_numpy().sum())
    counts["dropped"] = records - counts["records"]
    return counts
