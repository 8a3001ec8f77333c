"""Reads the records of a split, and writes and reads token files: records as a model sees them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medtune.modeling.loading import BASE, check_length, require
from medtune.runtime.atomic_files import read_arrow, replacing
from medtune.runtime.errors import InputError
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
    return read_arrow(path, "tokenize")


def texts(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yields the rows of a token file without their tokens."""
    for batch in table.drop_columns("input_ids").to_batches(max_chunksize=BATCH):
        yield from batch.to_pylist()


class ListColumn(Sequence[Any]):
    """A column of lists that stays in its mapped file: a row becomes a list when it is read.

    With `starts` or `ends`, each row is cut there: a prompt is the beginning of `input_ids`, and
    its reference is the rest.
    """

    def __init__(
        self,
        column: pa.ChunkedArray | pa.Array,
        ends: list[int] | None = None,
        starts: list[int] | None = None,
    ) -> None:
        self._column = column
        self._ends: list[int] = ends or pc.list_value_length(column).to_pylist()
        self._starts = starts or [0] * len(column)
        self.lengths = [end - start for start, end in zip(self._starts, self._ends, strict=True)]

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[n] for n in range(*row.indices(len(self)))]
        return self._column[row].as_py()[self._starts[row] : self._ends[row]]


def row_lengths(rows: Sequence[Sequence[Any]]) -> list[int]:
    """Returns the length of each row, without reading rows from a file."""
    return rows.lengths if isinstance(rows, ListColumn) else [len(row) for row in rows]


def columns(table: pa.Table | pa.RecordBatch, *names: str) -> dict[str, Sequence[Any]]:
    """Returns those of the columns that a token file has; lists stay in the file."""
    return {
        name: ListColumn(table[name])
        if pa.types.is_list(table.schema.field(name).type)
        else table[name].to_pylist()
        for name in names
        if name in table.schema.names
    }


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


def check_token_files(paths: Sequence[Path], folder: Path = BASE) -> None:
    """Raises InputError if a row has a token or a length that the model in `folder` cannot read."""
    from transformers import AutoConfig

    columns = [read_tokens(path)["input_ids"] for path in paths]
    longest = max(pc.max(pc.list_value_length(column)).as_py() or 0 for column in columns)
    highest = max(pc.max(pc.list_flatten(column)).as_py() or 0 for column in columns)
    require(folder / "config.json", "download@model")
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    words = config.get_text_config().vocab_size
    if highest >= words:
        raise InputError(
            f"the tokenizer gives the token {highest}, but the model has embeddings for {words} "
            "tokens only, from 0 on: choose a download.model whose tokenizer belongs to it"
        )
    check_length(config, longest, "the longest card", "lower tokenize.max_length_tokens")
