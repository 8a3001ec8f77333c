"""Readers: each turns one layout of data/raw into records."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medtune.cards.auto_reader import read_recognised
from medtune.cards.file_formats import read_rows
from medtune.cards.hpo_only_deck import read_hpo
from medtune.cards.ontology_deck import read_ontologies
from medtune.cards.question_parsing import fold_topic, parse_question
from medtune.cards.records import DEFAULT_KIND, Record
from medtune.cards.table_errors import MissingColumnsError, check_columns, require
from medtune.config.schema import Clean, Columns
from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import Row, label_of, text_of

NumberedRow = tuple[str, int, Row]  # file, row number from 0, row


def read_records(folder: Path, clean: Clean) -> Iterator[Record]:
    """Yields the records of the raw data set in a fixed order, with the reader `clean.reader`.

    An empty topic means that the record shares its topic with no other. Raises InputError that
    names the file if one can't be read or lacks a column.
    """
    match clean.reader:
        case "auto":
            return read_recognised(folder, clean.encoding)
        case "ontologies":
            return read_ontologies(folder)
        case "hpo":
            return read_hpo(folder)
        case "medical_meadow":
            return _read_medical_meadow(folder, clean.encoding)
        case "medquad":
            return _read_medquad(folder, clean.encoding)
        case "columns":
            assert clean.columns is not None, "the schema demands them"
            return _read_columns(folder, clean.columns, clean.encoding)


def _read_medical_meadow(folder: Path, encoding: str) -> Iterator[Record]:
    """Reads the question from `input`, or from `instruction` if `input` is empty."""
    choose = require(("instruction", "input", "output"))
    for name, number, row in read_rows(folder, choose, encoding):
        question = text_of(row.get("input"))
        if not question or question.isspace():
            question = text_of(row.get("instruction"))
        kind, topic = parse_question(question or "")
        answer = text_of(row.get("output"))
        yield Record(f"{name}:{number}", question, answer, kind or DEFAULT_KIND, topic, name)


def _read_medquad(folder: Path, encoding: str) -> Iterator[Record]:
    choose = require(("qtype", "Question", "Answer"))
    for name, number, row in read_rows(folder, choose, encoding):
        question, answer = text_of(row.get("Question")), text_of(row.get("Answer"))
        kind, topic = parse_question(question or "")
        kind = label_of(row.get("qtype")) or kind or DEFAULT_KIND
        yield Record(f"{name}:{number}", question, answer, kind, topic, name)


def _read_columns(folder: Path, columns: Columns, encoding: str) -> Iterator[Record]:
    named = (columns.question, columns.answer, columns.kind, columns.topic)
    wanted = [column for column in named if column is not None]

    def choose(path: Path, found: Sequence[str]) -> Sequence[str]:
        columns_of_parts = list(dict.fromkeys(_outer(column, found) for column in wanted))
        check_columns(path, found, columns_of_parts)
        return columns_of_parts

    rows = read_rows(folder, choose, encoding)
    for name, number, row in _explain_leftovers(rows, columns):
        question, answer, kind, topic = (_cell(row, column) if column else None for column in named)
        yield Record(
            f"{name}:{number}",
            text_of(question),
            text_of(answer),
            label_of(kind) or DEFAULT_KIND,
            fold_topic(label_of(topic)),
            name,
        )


def _outer(column: str, found: Sequence[str]) -> str:
    """Returns the column that holds `answers.text`: that of this name, or else `answers`."""
    outer = column.partition(".")[0]
    return outer if column not in found and outer in found else column


def _cell(row: Row, column: str) -> Any:
    """Returns a cell, or what a name like `answers.text` finds in it: the first of each list."""
    if column in row:
        return row[column]
    cell: Any = row
    for key in column.split("."):
        cell = cell.get(key) if isinstance(cell, dict) else None
        cell = cell[0] if isinstance(cell, list) and cell else cell
    return cell


def _explain_leftovers(rows: Iterator[NumberedRow], columns: Columns) -> Iterator[NumberedRow]:
    """Explains how `-S clean.columns={…}` may have kept a kind or topic that is missing."""
    try:
        yield from rows
    except MissingColumnsError as error:
        named = columns.model_dump()
        left = [key for key in ("kind", "topic") if named[key] in error.columns]
        wrong = [key for key in ("question", "answer") if named[key] in error.columns]
        if not left or len(wrong) == 2:
            raise
        named |= dict.fromkeys(left, "null") | dict.fromkeys(wrong, "…")
        wanted = ", ".join(f"{key}: {column}" for key, column in named.items() if column)
        raise InputError(
            f"{error}; `dvc exp run -S` keeps the earlier value of a key that it does not name, "
            f"such as {' and '.join(left)}: write clean.columns={{{wanted}}}"
        ) from None
