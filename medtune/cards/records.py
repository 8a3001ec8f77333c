"""The record: one question-answer card, and the table that holds many of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from medtune.runtime.files import replacing

FIELDS = ("id", "question", "answer", "kind", "topic", "source")
FACTS = [("fact_type", pa.string()), ("facts", pa.list_(pa.list_(pa.string())))]
SCHEMA = pa.schema([*((name, pa.string()) for name in FIELDS), *FACTS])
LEFT_OUT_TERM = "left_out_term"  # why a reader drops what is not for a classroom
ROW_GROUP = 32768  # rows collected before they are written

FactType = Literal["", "equal", "list", "named"]
Item = TypeVar("Item")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A question-answer card as a reader yields it, before cleaning.

    `id` is unique in the data set and gives the place in the raw file ("flashcards.json:17").
    `kind` groups cards by what is asked ("definition"), `topic` by what they are about. Cards with
    the same topic stay in one split; an empty topic is shared with no other card. `question` and
    `answer` are None if the raw cell is not text.

    `facts` are what a right answer says, each with all its accepted wordings. By `fact_type`, the
    answer equals one fact ("equal"), lists them ("list") or names one of them anywhere ("named").
    `drop_reason` is why the reader wants the card dropped, or empty.
    """

    id: str
    question: str | None
    answer: str | None
    kind: str
    topic: str
    source: str
    fact_type: FactType = ""
    facts: tuple[tuple[str, ...], ...] = ()
    drop_reason: str = ""


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


@contextmanager
def writing_rows(path: Path, schema: pa.Schema) -> Iterator[Callable[[Row], None]]:
    """Yields a function that adds a row, with cells in the schema's order, to a Parquet file.

    The file replaces `path` when the block ends; if it raises, the earlier file stays.
    """
    rows: list[Row] = []

    def flush() -> None:
        columns = zip(*rows, strict=True)
        arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
        file.write_table(pa.Table.from_arrays(arrays, schema=schema))
        rows.clear()

    def add(row: Row) -> None:
        rows.append(row)
        if len(rows) == ROW_GROUP:
            flush()

    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as file,
    ):
        yield add
        if rows:
            flush()
