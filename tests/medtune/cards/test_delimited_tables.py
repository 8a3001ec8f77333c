"""Tables of offices and of Anki are read as their programs write them."""

from pathlib import Path

import pytest

from medtune.cards.file_formats import read_rows
from medtune.cards.readers import read_records
from medtune.cards.table_errors import require
from medtune.runtime.errors import InputError
from tests.medtune.cards.test_readers import choose

ROWS = [["Was ist Gicht, genau?", "Arthritis; oft am Zeh"], ["2,5 mg?", "206"]]


def rows(folder: Path, *columns: str, encoding: str = "utf-8") -> list[list[str]]:
    found = read_rows(folder, require(columns or ("question", "answer")), encoding)
    return [list(row.values()) for _, _, row in found]


def quoted(delimiter: str) -> str:
    def cell(text: str) -> str:
        return f'"{text}"' if delimiter in text else text

    lines = [["question", "answer"], *ROWS]
    return "".join(delimiter.join(map(cell, line)) + "\r\n" for line in lines)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_the_separator_is_found(tmp_path: Path, delimiter: str, start: str) -> None:
    (tmp_path / "a.csv").write_text(start + quoted(delimiter), encoding="utf-8", newline="")
    assert rows(tmp_path) == ROWS


def test_excels_first_line_names_the_separator(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\r\n" + quoted(";"), newline="")
    assert rows(tmp_path) == ROWS
    (tmp_path / "a.csv").write_text("sep=;\nquestion;answer\n1;2\n1;2;3\n")
    with pytest.raises(InputError, match="line 4 has 3 cells, the header has 2"):
        rows(tmp_path)


def test_commas_in_a_header_with_semicolons_do_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Frage, lang;answer\nA, b, c?;Ja\nD?;Nein, nie\nE, f?;Ja\n")
    assert rows(tmp_path, "Frage, lang", "answer")[0] == ["A, b, c?", "Ja"]


def test_another_encoding_is_named_and_then_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question;answer\nGicht?;Häufig am Fuß\n", encoding="cp1252")
    message = r"a\.csv is not UTF-8 at byte 24: save it as UTF-8, or name its encoding in clean\.en"
    with pytest.raises(InputError, match=message):
        rows(tmp_path)
    assert rows(tmp_path, encoding="cp1252") == [["Gicht?", "Häufig am Fuß"]]


def test_a_mark_of_utf_8_overrules_the_stated_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nFuß?,Ja\n", encoding="utf-8-sig")
    assert rows(tmp_path, encoding="cp1252") == [["Fuß?", "Ja"]]


def test_utf_16_is_recognised_and_then_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question\tanswer\nFuß?\tJa\n", encoding="utf-16")
    with pytest.raises(InputError, match=r"UTF-16\S*: save it .* set clean\.encoding to utf-16"):
        rows(tmp_path)
    assert rows(tmp_path, encoding="utf-16") == [["Fuß?", "Ja"]]


def test_a_byte_that_the_stated_encoding_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"question,answer\nA?,\x81\n")
    with pytest.raises(InputError, match=r"is not CP1252 at byte 19: name another encoding in"):
        rows(tmp_path, encoding="cp1252")


def test_whole_numbers_lose_the_point_that_pandas_gave_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nBones?,206.0\npH?,7.40\nText?,at 7.0\n")
    assert [row[1] for row in rows(tmp_path)] == ["206", "7.40", "at 7.0"]


def test_ankis_export_is_read_with_its_headers(tmp_path: Path) -> None:
    (tmp_path / "deck.txt").write_text(
        "#separator:tab\n#html:true\n#notetype column:1\n#tags column:4\n"
        'Basic\tWhat is <b>gout</b>?\t"Arthritis,<br>""painful"""\tjoints\n'
        "Basic\tWhat is flu?\tA virus.\t\n"
    )
    records = list(read_records(tmp_path, choose("auto")))
    assert [(record.question, record.answer) for record in records] == [
        ("What is <b>gout</b>?", 'Arthritis,<br>"painful"'),
        ("What is flu?", "A virus."),
    ]


def test_ankis_columns_are_named_in_its_header(tmp_path: Path) -> None:
    text = "#separator:Semicolon\n#columns:Back;Front;Note\nArthritis;Gout?;x\n"
    (tmp_path / "deck.txt").write_text(text)
    assert rows(tmp_path, "Front", "Back") == [["Gout?", "Arthritis"]]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("cards.ods", r"only cards\.ods: save the sheet as \.xlsx or CSV, and name that file"),
        ("cards.txt", r"only cards\.txt: choose .* rename a table to \.csv or \.tsv"),
    ],
)
def test_a_file_that_is_no_table_leads_to_one(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_text("Gout?\tArthritis\n")
    with pytest.raises(InputError, match=remedy):
        rows(tmp_path)
