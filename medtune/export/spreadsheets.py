"""CSV files that spreadsheets open as they are meant: UTF-8, and no cell that runs as a formula."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from medtune.runtime.files import FORMULA

BOM = b"\xef\xbb\xbf"  # without it Excel takes UTF-8 for the machine's old code page


def without_formulas(table: pa.Table) -> tuple[pa.Table, int]:
    """The table with an apostrophe before each text that begins like a formula, and their number.

    Behind the apostrophe a spreadsheet runs nothing; a header gets one too, but does not count.
    """
    names = [f"'{name}" if re.match(FORMULA, name) else name for name in table.column_names]
    table, changed = table.rename_columns(names), 0
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(number)
            changed += pc.sum(pc.match_substring_regex(column, FORMULA)).as_py() or 0
            safe = pc.replace_substring_regex(column, f"({FORMULA})", r"'\1")
            table = table.set_column(number, field, safe)
    return table, changed


def write_spreadsheet(path: Path, table: pa.Table) -> int:
    """Writes a table as CSV; returns how many cells got an apostrophe."""
    safe, changed = without_formulas(table)
    with path.open("wb") as file:
        file.write(BOM)
        csv.write_csv(safe, file)
    return changed


def as_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pa.Table:
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pa.table(dict(zip(columns, map(pa.array, cells), strict=True)))
