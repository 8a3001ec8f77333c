"""Excel workbooks give what Excel would write into a CSV file."""

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from medtune.cards.column_names import recognise
from medtune.cards.file_formats import read_rows
from medtune.cards.table_errors import require
from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import text_of

openpyxl = pytest.importorskip("openpyxl")


def write(path: Path, *sheets: list[list[Any]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    book.save(path)


def read(folder: Path, *columns: str) -> list[list[str | None]]:
    rows = read_rows(folder, require(columns))
    return [[text_of(row[column]) for column in columns] for _, _, row in rows]


def test_cells_become_the_text_of_a_csv_file(tmp_path: Path) -> None:
    cells = ["Gout", 206.0, 2.5, 7, True, None, date(2026, 11, 26), datetime(2026, 1, 2, 3, 4)]
    expected = ["Gout", "206", "2.5", "7", "TRUE", None, "2026-11-26", "2026-01-02 03:04:00"]
    rows = [["question", "answer"], *[["What?", cell] for cell in cells]]
    write(tmp_path / "cards.xlsx", rows)
    assert [answer for _, answer in read(tmp_path, "question", "answer")] == expected


def test_a_formula_counts_with_the_result_that_excel_saved(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", [["question", "answer"], ["Dose?", "=2*3"]])
    with ZipFile(tmp_path / "a.xlsx") as old, ZipFile(tmp_path / "cards.xlsx", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                assert b"<v />" in content or b"<v></v>" in content
                content = content.replace(b"<v />", b"<v>6</v>").replace(b"<v></v>", b"<v>6</v>")
            new.writestr(name, content)
    (tmp_path / "a.xlsx").unlink()
    assert read(tmp_path, "answer") == [["6"]]


def test_the_first_sheet_with_rows_is_read_without_empty_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cards = [[], ["answer", " question\n(en)", None], [], ["Arthritis", "Gout?"], [None, "Rash?"]]
    write(tmp_path / "cards.xlsx", [], cards, [["note"]])
    with caplog.at_level("INFO", "medtune"):
        found = read(tmp_path, "question (en)", "answer")
    assert found == [["Gout?", "Arthritis"], ["Rash?", None]]
    assert "read the sheet Sheet 1; not read: Sheet 2" in caplog.text


def test_a_sheet_without_a_header_is_refused_with_its_first_row(tmp_path: Path) -> None:
    write(tmp_path / "cards.xlsx", [["What is gout?", "Arthritis"], ["What is flu?", "A virus"]])
    said = r"cards.xlsx has no header, but begins with 'What is gout\?', 'Arthritis': write a row"
    with pytest.raises(InputError, match=said):
        list(read_rows(tmp_path, recognise))


def test_a_sheet_before_the_cards_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cards.xlsx", [["My deck"]], [["question", "answer"], ["Gout?", "Arthritis"]])
    said = "the first sheet with rows is read, Sheet 0: move the sheet that has the cards before it"
    for choose in (recognise, require(["question", "answer"])):
        with pytest.raises(InputError, match=said):
            list(read_rows(tmp_path, choose))


def test_a_cell_without_a_column_is_named(tmp_path: Path) -> None:
    write(tmp_path / "cards.xlsx", [["question", "answer"], ["a", "b"], ["a", "b", "c"]])
    with pytest.raises(InputError, match="row 3 has 3 cells, the header has 2: name all columns"):
        read(tmp_path, "question", "answer")


@pytest.mark.parametrize("damage", ["no zip", "cut", "bad XML"])
def test_a_damaged_workbook_is_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cards.xlsx"
    write(path, [["question", "answer"], ["a", "b"]])
    content = path.read_bytes()
    if damage == "no zip":
        path.write_bytes(b"\xd0\xcf\x11\xe0" * 200)  # an old .xls, or one with a password
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        with ZipFile(path) as whole:
            members = {name: whole.read(name) for name in whole.namelist()}
        name = next(name for name in members if name.endswith("sheet1.xml"))
        members[name] = members[name][:200] + b"<row" + members[name][200:]
        with ZipFile(path, "w") as new:
            for name, text in members.items():
                new.writestr(name, text)
    with pytest.raises(InputError, match=r"cards\.xlsx can't be read as an Excel") as said:
        read(tmp_path, "question", "answer")
    assert "\n" not in str(said.value)


@pytest.mark.slow
def test_a_workbook_that_expands_without_measure_is_refused(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "cards.xlsx", "w", ZIP_DEFLATED) as bomb:
        bomb.writestr("xl/worksheets/sheet1.xml", bytes(2**27))
    with pytest.raises(InputError, match="bytes, which no sheet of cards does"):
        read(tmp_path, "question")
