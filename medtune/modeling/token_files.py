"""Writes and reads token files: records as the model sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from medtune.runtime.errors import InputError
from medtune.runtime.files import replacing

TOKENS = Path("data/tokens")
PROMPT_FORMAT = TOKENS / "prompt.json"
TEXTS = pa.schema(  # what the split stage wrote
    {name: pa.string() for name in ("id", "kind", "topic", "group", "question", "answer")}
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


@contextmanager
def token_writer(path: Path) -> Iterator[pa.RecordBatchFileWriter]:
    """Yields a writer for rows of SCHEMA; they replace the file at the end."""
    with replacing(path) as temporary, pa.ipc.new_file(str(temporary), SCHEMA) as writer:
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
