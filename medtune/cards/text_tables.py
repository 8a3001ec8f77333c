"""Reads the rows of CSV, TSV, JSON and JSON Lines files; errors name the line.

Memory holds one line or CSV row at a time, but the whole of a .json file that is one list.
"""

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from medtune.cards.table_errors import FIX_SOURCE, check_columns, readable
from medtune.runtime.cells import Row
from medtune.runtime.errors import InputError

MAX_CHARACTERS = 2**25  # of a line and of a cell; no card is longer
BLOCK_BYTES = 2**20


def read_csv(path: Path, columns: Sequence[str], delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(MAX_CHARACTERS)
    cells = csv.reader(_read_lines(path), delimiter=delimiter, strict=True)
    header: list[str] = []
    places: list[int] = []
    line = 1
    try:
        for row in cells:
            if not header:
                header = row
                check_columns(path, header, columns)
                places = [header.index(column) for column in columns]
            elif row and len(row) != len(header):
                raise InputError(
                    f"{path}, line {line} has {len(row)} cells, the header has {len(header)}: "
                    "put cells that contain a separator in double quotes"
                )
            elif row:
                yield {column: row[place] for column, place in zip(columns, places, strict=True)}
            line = cells.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, row at line {line}: {error}: double the quotes inside quoted cells"
        ) from None


def read_json(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Reads a list of objects, alone or in an object; memory holds two to five times its bytes."""
    if _is_json_lines(path):  # as many .json files on the hub are
        yield from read_json_lines(path, columns)
        return
    content = load_json(path)
    if content is None:
        return
    candidates = content.values() if isinstance(content, dict) else [content]
    lists = [rows for rows in candidates if isinstance(rows, list)]
    if len(lists) != 1:
        raise InputError(
            f"{path} must hold one list of objects, not {len(lists)} lists: {FIX_SOURCE}"
        )
    places = (f"{path}, item {number}" for number in range(len(lists[0])))
    yield from _check_objects(path, zip(places, lists[0], strict=True), columns)


def load_json(path: Path) -> Any:
    """Returns the content of a JSON file, or None if it is empty."""
    with _open(path) as file:
        text = file.read()
    return _parse(text, str(path)) if text.strip() else None


def read_json_lines(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    lines = enumerate(_read_lines(path), start=1)
    places = ((f"{path}, line {number}", line) for number, line in lines if not line.isspace())
    rows = ((place, _parse(line, place)) for place, line in places)
    yield from _check_objects(path, rows, columns)


def _check_objects(
    path: Path, rows: Iterator[tuple[str, Any]], columns: Sequence[str]
) -> Iterator[Row]:
    """Yields rows after checking that they are objects and that the first has all columns."""
    for number, (place, row) in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{place} must be an object, not {type(row).__name__}: {FIX_SOURCE}")
        if number == 0:
            check_columns(path, list(row), columns)
        yield row


def _parse(text: str, place: str) -> Any:
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if "\n" in text.rstrip("\r\n") else ""
        fault = f"{error.msg} at character {error.colno}"
        raise InputError(f"{place}{line} is not JSON ({fault}): {FIX_SOURCE}") from None
    except ValueError as error:
        raise InputError(f"{place} {error}: {FIX_SOURCE}") from None
    except RecursionError:
        raise InputError(f"{place} is nested too deeply: {FIX_SOURCE}") from None


def _make_object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"has the key {twice[:80]!r} twice in one object")
    return row


def _parse_integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:  # Python refuses to convert more than 4,300 digits
        return digits


DECODER = json.JSONDecoder(object_pairs_hook=_make_object, parse_int=_parse_integer)


def _is_json_lines(path: Path) -> bool:
    """Returns whether the first of several lines is an object."""
    with _open(path) as file:
        parts = iter(partial(file.readline, MAX_CHARACTERS), "")
        lines = (part for part in parts if not part.isspace())
        first, second = next(lines, ""), next(lines, "")
    if not second or not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _read_lines(path: Path) -> Iterator[str]:
    """Yields the lines with their endings: LF, CR LF or CR, which JSON strings must escape."""
    with _open(path) as file:
        number = 1
        while line := file.readline(MAX_CHARACTERS + 1):
            if len(line) > MAX_CHARACTERS:
                raise InputError(
                    f"{path}, line {number} is longer than {MAX_CHARACTERS} characters, more "
                    f"than any card: {FIX_SOURCE}"
                )
            yield line
            number += 1


@contextmanager
def _open(path: Path) -> Iterator[io.TextIOWrapper]:
    try:
        with readable(path), path.open("rb") as file:
            encoding = json.detect_encoding(file.read(4))
            if not encoding.startswith("utf-8"):
                raise InputError(f"{path} is not UTF-8 but {encoding.upper()}: save it as UTF-8")
            file.seek(len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0)
            yield io.TextIOWrapper(file, encoding="utf-8", newline="")
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is not UTF-8 at byte {_find_bad_byte(path)}: save it as UTF-8"
        ) from None


def _find_bad_byte(path: Path) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while True:
            start = file.tell() - len(decoder.getstate()[0])
            block = file.read(BLOCK_BYTES)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return start + error.start
            assert block, "the file was not UTF-8 a moment ago"
