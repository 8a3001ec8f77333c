"""The token files: records as the model reads them."""

from pathlib import Path

import pyarrow as pa

from medtune.errors import InputError
from medtune.files import replacing

TOKENS = Path("data/tokens")
PROMPT_FORMAT = TOKENS / "prompt.json"
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "kind", "topic", "group", "question", "answer")),
        ("input_ids", pa.list_(pa.int32())),  # prompt, answer, end-of-turn token
        ("prompt_length", pa.int32()),
        ("loss_start", pa.int32()),  # training's loss covers input_ids[loss_start:]
        ("truncated", pa.bool_()),
    ]
)


def write_tokens(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as file:
        file.write_table(table)


def read_tokens(path: Path) -> pa.Table:
    """Reads a token file; raises InputError with the way to make it again."""
    try:
        with pa.OSFile(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro tokenize") from None
    except pa.ArrowInvalid:
        raise InputError(f"{path} is not a whole Arrow file: run dvc repro -f tokenize") from None
