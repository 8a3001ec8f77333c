"""Readers: each turns one layout of data/raw into records."""

from collections.abc import Iterator
from pathlib import Path

from medtune.cards.hpo import read_hpo
from medtune.cards.ontologies import read_ontologies
from medtune.cards.records import Record
from medtune.cards.table_errors import MissingColumnsError
from medtune.cards.tables import read_rows
from medtune.cards.topics import fold_topic, parse_question
from medtune.config.schema import Clean, Columns
from medtune.runtime.cells import Row, text_of
from medtune.runtime.errors import InputError

DEFAULT_KIND = "flashcard"
NumberedRow = tuple[str, int, Row]  # file, row number from 0, row


def read_records(folder: Path, clean: Clean) -> Iterator[Record]:
    """Yields the records of the raw data set in a fixed order, with the reader `clean.reader`.

    An empty topic means that the record shares its topic with no other. Raises InputError that
    names the file if one can't be read or lacks a column.
    """
    if clean.columns is not None:
        return _read_columns(folder, clean.columns)
    readers = {
        "ontologies": read_ontologies,
        "hpo": read_hpo,
        "medical_meadow": _read_medical_meadow,
        "medquad": _read_medquad,
    }
    return readers[clean.reader](folder)


def _read_medical_meadow(folder: Path) -> Iterator[Record]:
    """Reads the question from `input`, or from `instruction` if `input` is empty."""
    for name, number, row in read_rows(folder, ("instruction", "input", "output")):
        question = text_of(row.get("input"))
        if not question or question.isspace():
            question = text_of(row.get("instruction"))
        kind, topic = parse_question(question or "")
        answer = text_of(row.get("output"))
        yield Record(f"{name}:{number}", question, answer, kind or DEFAULT_KIND, topic, name)


def _read_medquad(folder: Path) -> Iterator[Record]:
    for name, number, row in read_rows(folder, ("qtype", "Question", "Answer")):
        question, answer = text_of(row.get("Question")), text_of(row.get("Answer"))
        kind, topic = parse_question(question or "")
        kind = _label(row.get("qtype")) or kind or DEFAULT_KIND
        yield Record(f"{name}:{number}", question, answer, kind, topic, name)


def _read_columns(folder: Path, columns: Columns) -> Iterator[Record]:
    named = (columns.question, columns.answer, columns.kind, columns.topic)
    rows = read_rows(folder, [column for column in named if column is not None])
    for name, number, row in _explain_leftovers(rows, columns):
        question, answer, kind, topic = (row.get(column) if column else None for column in named)
        yield Record(
            f"{name}:{number}",
            text_of(question),
            text_of(answer),
            _label(kind) or DEFAULT_KIND,
            fold_topic(_label(topic)),
            name,
        )


def _explain_leftovers(rows: Iterator[NumberedRow], columns: Columns) -> Iterator[NumberedRow]:
    """Explains how `-S clean.columns={…}` may have kept a kind or topic that is missing."""
    try:
        yield from rows
    except MissingColumnsError as error:
        named = columns.model_dump()
        left = [key for key in ("kind", "topic") if named[key] in error.columns]
        if not left or not {columns.question, columns.answer}.isdisjoint(error.columns):
            raise
        named |= dict.fromkeys(left, "null")
        wanted = ", ".join(f"{key}: {column}" for key, column in named.items() if column)
        raise InputError(
            f"{error}; `dvc exp run -S` keeps the earlier value of a key that it does not name, "
            f"such as {' and '.join(left)}: write clean.columns={{{wanted}}}"
        ) from None


def _label(cell: object) -> str:
    return " ".join((text_of(cell) or "").split())
