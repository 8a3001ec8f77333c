import csv
from pathlib import Path

import pyarrow as pa
import pytest

from medtune.export.spreadsheets import as_table, write_spreadsheet

FORMULAS = [
    "=1+1",
    "+44 20",
    "-5 °C",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\n=x",
    "＝1",
    "－1",
    "=cmd|' /C calc'!A0",
]
HARMLESS = [
    "1-2",
    "a=b",
    " =1",
    "'quoted'",
    'say "µg"',
    "a,b;c",
    "two\nlines",
    "",
    "≥ 5\u2028β",
    "العربية",
]


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, strict=True))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_cell_that_begins_like_a_formula_is_text(text: str, tmp_path: Path) -> None:
    assert write_spreadsheet(tmp_path / "x.csv", pa.table({"=a": [text]})) == 1
    assert read(tmp_path / "x.csv") == [["'=a"], [f"'{text}"]]


def test_all_other_cells_stay_as_they_are(tmp_path: Path) -> None:
    table = pa.table({"text": HARMLESS, "n": range(-1, len(HARMLESS) - 1)})
    assert write_spreadsheet(tmp_path / "x.csv", table) == 0
    assert [row[0] for row in read(tmp_path / "x.csv")] == ["text", *HARMLESS]
    assert read(tmp_path / "x.csv")[1][1] == "-1", "a number is no formula"


def test_excel_is_told_that_it_is_utf8(tmp_path: Path) -> None:
    write_spreadsheet(tmp_path / "x.csv", pa.table({"a": ["β"]}))
    assert (tmp_path / "x.csv").read_bytes() == b'\xef\xbb\xbf"a"\n"\xce\xb2"\n'


def test_a_table_without_rows_keeps_its_header(tmp_path: Path) -> None:
    write_spreadsheet(tmp_path / "x.csv", as_table(("a", "b"), []))
    assert read(tmp_path / "x.csv") == [["a", "b"]]
    assert as_table(("a", "b"), [("x", 1), ("y", 2)]).to_pydict() == {"a": ["x", "y"], "b": [1, 2]}
