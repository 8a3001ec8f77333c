"""Reads the rows of CSV and TSV files and of Anki's text exports; errors name the line.

Separators are found: by Excel's line `sep=;`, by Anki's line `#separator:tab`, or else by the one
that divides the first lines into rows of equal length.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from medtune.cards.table_errors import Choose, readable
from medtune.cards.text_files import MAX_CHARACTERS, read_lines
from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import Row

NumberedCells = tuple[int, list[str]]  # the line at which the row begins, from 1, and its cells

DELIMITERS = ",;\t|"
SAMPLE_LINES = 20
SAMPLE_CHARACTERS = 2**16
# https://docs.ankiweb.net/importing/text-files.html#file-headers
ANKI_START = b"#separator:"
ANKI_LINE = re.compile(
    "#(separator|html|tags|columns|notetype|deck|if matches|(?:notetype|deck|tags|guid) column)"
    r":([^\r\n]*)\s*",
    re.IGNORECASE,
)
ANKI_DELIMITERS = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "space": " ",
    "pipe": "|",
    "colon": ":",
}
EXCEL_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
PANDAS_INTEGER = re.compile(r"-?\d+\.0")  # in a column of whole numbers in which one is missing


def is_anki_export(path: Path) -> bool:
    """Returns whether a text file begins with the headers that Anki writes."""
    with readable(path), path.open("rb") as file:
        return file.read(len(ANKI_START)).lower() == ANKI_START


def read_delimited(
    path: Path, choose: Choose, encoding: str, delimiter: str | None = None
) -> Iterator[Row]:
    csv.field_size_limit(MAX_CHARACTERS)
    lines = read_lines(path, encoding)
    settings, skipped, first_line = _read_settings(lines)
    sample = [first_line, *_take_sample(lines)]
    delimiter = _named_delimiter(settings) or delimiter or _find_delimiter(sample)
    rows = _read_cells(path, chain(sample, lines), delimiter, skipped)
    first = next(rows, None)
    if first is None:
        return
    header = first[1]
    if settings.keys() - {"sep"}:  # Anki's rows begin at once
        rows = chain([first], rows)
        header = _name_anki_columns(settings, len(header), delimiter)
    columns = choose(path, header)
    places = [header.index(column) for column in columns]
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line} has {len(cells)} cells, the header has {len(header)}: "
                "put cells that contain a separator in double quotes"
            )
        texts = (_as_typed(cells[place]) for place in places)
        yield dict(zip(columns, texts, strict=True))


def _read_settings(lines: Iterator[str]) -> tuple[dict[str, str], int, str]:
    """Returns what Excel's or Anki's first lines say, their number, and the line after them."""
    settings: dict[str, str] = {}
    count = 0
    for line in lines:
        if found := ANKI_LINE.fullmatch(line):
            settings[found[1].lower()] = found[2]
        elif not settings and (found := EXCEL_LINE.fullmatch(line)):
            settings["sep"] = found[1]
        else:
            return settings, count, line
        count += 1
    return settings, count, ""


def _named_delimiter(settings: dict[str, str]) -> str | None:
    name = settings.get("separator", "").strip().lower()
    return settings.get("sep") or ANKI_DELIMITERS.get(name, name[:1]) or None


def _take_sample(lines: Iterator[str]) -> Iterator[str]:
    characters = 0
    for line in islice(lines, SAMPLE_LINES):
        yield line
        characters += len(line)
        if characters > SAMPLE_CHARACTERS:
            return


def _find_delimiter(sample: Sequence[str]) -> str:
    """Returns what divides all rows of the sample alike, or else the header into most cells."""

    def rate(delimiter: str) -> tuple[bool, int]:
        try:
            rows = [row for row in csv.reader(sample, delimiter=delimiter) if row]
        except csv.Error:
            return False, 0
        widths = [len(row) for row in rows] or [0]
        complete = widths[:-1] if len(widths) > 3 else widths  # the sample may cut the last row
        return widths[0] > 1 and set(complete) == {widths[0]}, widths[0]

    return max(DELIMITERS, key=rate)


def _read_cells(
    path: Path, lines: Iterator[str], delimiter: str, skipped: int
) -> Iterator[NumberedCells]:
    """Yields the rows that are not empty; `skipped` lines of the file came before `lines`."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = skipped + 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, row at line {line}: {error}: double the quotes inside quoted cells"
        ) from None


def _name_anki_columns(settings: dict[str, str], width: int, delimiter: str) -> list[str]:
    """Returns the names that `#columns` gives, or else front, back and those of special columns."""
    if names := settings.get("columns"):
        return next(csv.reader([names], delimiter=delimiter))
    special = {
        int(value): key.removesuffix(" column")
        for key, value in settings.items()
        if key.endswith(" column") and value.strip().isdecimal()
    }
    fields = chain(["front", "back"], (f"field {number}" for number in range(3, width + 3)))
    return [special.get(place) or next(fields) for place in range(1, width + 1)]


def _as_typed(cell: str) -> str:
    return cell[:-2] if cell.endswith(".0") and PANDAS_INTEGER.fullmatch(cell) else cell
