"""Reads the rows of JSON and JSON Lines files; errors name the line.

Memory holds one line at a time, but the whole of a .json file that is one list.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from medtune.cards.table_errors import FIX_SOURCE, Choose
from medtune.cards.text_files import MAX_CHARACTERS, open_text, read_lines
from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import Row


def read_json(path: Path, choose: Choose, encoding: str) -> Iterator[Row]:
    """Reads a list of objects, alone or in objects; memory holds two to five times its bytes."""
    if _is_json_lines(path, encoding):  # as many .json files on the hub are
        yield from read_json_lines(path, choose, encoding)
        return
    content = load_json(path, encoding)
    if content is None:
        return
    lists = _find_lists(content)
    if len(lists) != 1:
        raise InputError(
            f"{path} must hold one list of objects, not {len(lists)} lists: write it with "
            "orient='records' if it comes from pandas, write each list into a separate file, or "
            f"{FIX_SOURCE}"
        )
    places = (f"{path}, item {number}" for number in range(len(lists[0])))
    yield from _check_objects(path, zip(places, lists[0], strict=True), choose)


def _find_lists(content: Any, levels: int = 3) -> list[list[Any]]:
    """Returns the lists in an object, or if it has none, those in the objects in it."""
    if not isinstance(content, dict) or not levels:
        return [content] if isinstance(content, list) else []
    own = [value for value in content.values() if isinstance(value, list)]
    return own or [rows for value in content.values() for rows in _find_lists(value, levels - 1)]


def load_json(path: Path, encoding: str = "utf-8") -> Any:
    """Returns the content of a JSON file, or None if it is empty."""
    with open_text(path, encoding) as file:
        text = file.read()
    return _parse(text, str(path)) if text.strip() else None


def read_json_lines(path: Path, choose: Choose, encoding: str) -> Iterator[Row]:
    lines = enumerate(read_lines(path, encoding), start=1)
    places = ((f"{path}, line {number}", line) for number, line in lines if not line.isspace())
    rows = ((place, _parse(line, place)) for place, line in places)
    yield from _check_objects(path, rows, choose)


def _check_objects(path: Path, rows: Iterator[tuple[str, Any]], choose: Choose) -> Iterator[Row]:
    """Yields whole rows after checking that they are objects; the first stands for the columns."""
    for number, (place, row) in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{place} must be an object, not {type(row).__name__}: {FIX_SOURCE}")
        if number == 0:
            choose(path, list(row))
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


def _is_json_lines(path: Path, encoding: str) -> bool:
    """Returns whether the first of several lines is an object."""
    with open_text(path, encoding) as file:
        parts = iter(partial(file.readline, MAX_CHARACTERS), "")
        lines = (part for part in parts if not part.isspace())
        first, second = next(lines, ""), next(lines, "")
    if not second or not first.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False
