"""Reads the first sheet of an Excel workbook that has rows; formulas count with their last result.

The cells become the text or number that Excel would write into a CSV file; dates become ISO dates.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile
from zlib import error as ZlibError  # noqa: N812

from medtune.cards.table_errors import Choose, listed, readable
from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import Row, label_of

logger = logging.getLogger("medtune")

MAX_BYTES, MAX_EXPANSION = 2**26, 100  # unpacked; a larger one may not expand so many times
# What openpyxl raises for files that are no workbooks, or damaged ones.
DAMAGE = (BadZipFile, ZlibError, KeyError, ValueError, TypeError, AttributeError, EOFError)


def read_workbook(path: Path, choose: Choose) -> Iterator[Row]:
    with _sheets(path) as sheets:
        filled = [(sheet.title, *_rows(sheet)) for sheet in sheets]
        filled = [each for each in filled if each[1]]
        if not filled:
            return
        title, header, rows = filled[0]
        if others := [other for other, _, _ in filled[1:]]:
            logger.info(f"{path}: read the sheet {title}; not read: {listed(others)}")
        try:
            columns = choose(path, header)
        except InputError as error:
            if others:
                seen = f"only the first sheet with rows is read, {title}"
                error.args = (f"{error}; {seen}: move the sheet that has the cards before it",)
            raise
        places = [header.index(column) for column in columns]
        for number, cells in rows:
            if any(cell is not None for cell in cells[len(header) :]):
                raise InputError(
                    f"{path}, row {number} has {len(cells)} cells, the header has {len(header)}: "
                    "name all columns in the first row"
                )
            padded = [*cells, *[None] * (len(header) - len(cells))]
            yield {column: _as_csv(padded[n]) for column, n in zip(columns, places, strict=True)}


@contextmanager
def _sheets(path: Path) -> Iterator[list[Any]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with readable(path), path.open("rb") as file:
            _refuse_bomb(path, ZipFile(file))
            book = load_workbook(file, read_only=True, data_only=True)
            yield book.worksheets
    except (*DAMAGE, InvalidFileException, SyntaxError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(
            f"{path} can't be read as an Excel workbook ({reason}): open it in Excel, remove a "
            'password if it has one, and save the sheet as "CSV UTF-8"'
        ) from None


def _refuse_bomb(path: Path, archive: ZipFile) -> None:
    unpacked = sum(member.file_size for member in archive.infolist())
    packed = sum(member.compress_size for member in archive.infolist())
    if unpacked > max(MAX_BYTES, MAX_EXPANSION * packed):
        raise InputError(
            f"{path} expands from {packed} to {unpacked} bytes, which no sheet of cards does: "
            'save the sheet as "CSV UTF-8"'
        )


def _rows(sheet: Any) -> tuple[list[str], Iterator[tuple[int, Sequence[Any]]]]:
    """Returns the names of the columns, empty if there are none, and the numbered rows below."""
    sheet.reset_dimensions()  # some programs write wrong ones
    numbered = enumerate(sheet.iter_rows(values_only=True), start=1)
    rows = ((n, cells) for n, cells in numbered if any(cell is not None for cell in cells))
    _, header = next(rows, (0, ()))
    names = [label_of(_as_csv(cell)) for cell in header]
    while names and not names[-1]:
        names.pop()
    return names, rows


def _as_csv(cell: Any) -> Any:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, date | time) else cell
