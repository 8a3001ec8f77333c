"""The record: one question-answer card, and the table that holds many of them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from medtune.runtime.atomic_files import replacing, scratch

FIELDS = ("id", "question", "answer", "kind", "topic", "source")
FACTS = [("fact_type", pa.string()), ("facts", pa.list_(pa.list_(pa.string())))]
SCHEMA = pa.schema([*((name, pa.string()) for name in FIELDS), *FACTS])
HISTORY_TYPE = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
HISTORY = pa.field("history", HISTORY_TYPE)  # a column only where a record has a history
# Why a reader drops a record: it is not for a classroom, its conversation has no answered question,
# or one of its messages is neither the system's, the user's nor the assistant's.
LEFT_OUT_TERM = "left_out_term"
NO_CONVERSATION = "no_conversation"
UNKNOWN_ROLE = "unknown_role"
DEFAULT_KIND = "flashcard"
ROW_GROUP = 32768  # rows collected before they are written

FactType = Literal["", "equal", "list", "named"]
Wordings = tuple[tuple[str, ...], ...]  # all accepted wordings of each fact
Role = Literal["system", "user", "assistant"]
Item = TypeVar("Item")
Row = tuple[Any, ...]
Texts = tuple[str | None, ...]  # question, answer and messages; question and answer may be no text


class Message(NamedTuple):
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Record:
    """A question-answer card as a reader yields it, before cleaning.

    `id` is unique in the data set and gives the place in the raw file ("flashcards.json:17").
    `kind` groups cards by what is asked ("definition"), `topic` by what they are about. Cards with
    the same topic stay in one split; an empty topic is shared with no other card. `question` and
    `answer` are None if the raw cell is not text.

    `facts` are what a right answer says, each with all its accepted wordings. By `fact_type`, the
    answer equals one fact ("equal"), lists them ("list") or names one of them anywhere ("named").
    `history` holds what was said before the question: the messages of the earlier turns and of the
    system. `drop_reason` is why the reader wants the card dropped, or empty.
    """

    id: str
    question: str | None
    answer: str | None
    kind: str
    topic: str
    source: str
    fact_type: FactType = ""
    facts: Wordings = ()
    drop_reason: str = ""
    history: tuple[Message, ...] = ()

    @property
    def texts(self) -> Texts:
        """The question, the answer and the messages of the history."""
        return (self.question, self.answer, *(message.content for message in self.history))

    def retold(self, contents: Iterable[str]) -> list[Message]:
        """Returns the history with other contents, without messages that are now empty."""
        messages = zip(self.history, contents, strict=True)
        return [Message(message.role, text) for message, text in messages if text.strip()]


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


@contextmanager
def writing_rows(
    path: Path, schema: pa.Schema, optional: pa.Field | None = None
) -> Iterator[Callable[[Row], None]]:
    """Yields a function that adds a row, with cells in the schema's order, to a Parquet file.

    With an `optional` list column, rows end with its cell; the file has it only if a row fills it.
    The file replaces `path` when the block ends; if it raises, the earlier file stays.
    """
    with replacing(path) as temporary:
        file = _RowFile(temporary, schema, optional)
        try:
            yield file.add
            file.flush()
        finally:
            file.writer.close()


class _RowFile:
    def __init__(self, path: Path, schema: pa.Schema, optional: pa.Field | None) -> None:
        self.path, self.schema, self.optional = path, schema, optional
        self.rows: list[Row] = []
        self.writer = self._open()

    def _open(self) -> pq.ParquetWriter:
        return pq.ParquetWriter(self.path, self.schema, compression="zstd")

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if len(self.rows) == ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        if self.optional is not None and any(row[-1] for row in self.rows):
            self._add_column(self.optional)
            self.optional = None
        columns = zip(*self.rows, strict=True)
        arrays = [pa.array(c, field.type) for c, field in zip(columns, self.schema, strict=False)]
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
        self.rows.clear()

    def _add_column(self, column: pa.Field) -> None:
        """Adds a column of empty lists to the rows that are already in the file."""
        self.writer.close()
        self.schema = self.schema.append(column)
        with scratch(self.path) as earlier:
            self.path.rename(earlier)
            self.writer = self._open()
            with pq.ParquetFile(earlier) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    empty = pa.array([[]] * len(table), column.type)
                    self.writer.write_table(table.append_column(column, empty))
