import contextlib
import csv
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.cards.readers import read_records
from medtune.config.allowed_values import SPLITS
from medtune.config.loading import load_params
from medtune.config.schema import Columns
from medtune.export.cards import COLUMNS, export, read_cards, write_spreadsheet
from medtune.runtime.errors import InputError
from tests.fetching import tree

ROOT = Path(__file__).parents[3]
TEXTS = ("=1+1", "-5 °C or less", 'say "µg", β\nand ≥', "plain", "a\u2028b", "'quoted'")
CARDS = [(f"id{n}", f"Q{n}?", text, "=kind", "gout", "g", "a.csv") for n, text in enumerate(TEXTS)]
LEAKS = {
    f"{a}.{b}": 0.1
    for a in ("leak", "leak_random_split")
    for b in ("question", "answer", "ngram13")
}
FIGURES = {
    *("question_words", "answer_words", "kinds", "sizes", "tokens", "repeated_text"),
    *("leak_rates", "dropped", "fixed"),
}
FORMULAS = [
    "=1+1",
    "+44 20",
    "-5 °C",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\n=x",
    "＝1",
    "=cmd|' /C calc'!A0",
]
HARMLESS = ["1-2", "-1", "a=b", " =1", 'say "µg"', "a,b;c", "two\nlines", "", "≥ 5\u2028β"]


def make_project(folder: Path) -> None:
    """Fills the working folder with what the stages write up to tokenize."""
    shutil.copy(ROOT / "params.yaml", folder)
    for name in ("data/clean", "data/split", "data/tokens", "metrics"):
        Path(name).mkdir(parents=True)
    table = pa.table(dict(zip(COLUMNS, map(list, zip(*CARDS, strict=True)), strict=True)))
    for number, split in enumerate(SPLITS):
        part = table.slice(2 * number, 2).append_column("another", [["x", "y"]])
        pq.write_table(part, f"data/split/{split}.parquet")
        tokens = pa.table({"id": part["id"], "input_ids": [[1, 2], [1, 2, 3]]})
        with pa.ipc.new_file(f"data/tokens/{split}.arrow", tokens.schema) as file:
            file.write_table(tokens)
    reasons = ["empty_answer", "personal_data"]
    dropped = pa.table({"question": ["=2", "Call me on 555 0100"], "reason": reasons})
    pq.write_table(dropped, "data/clean/dropped.parquet")
    clean = {"records_in": 7, "dropped.duplicate": 1, "fixed.html": 2}
    Path("metrics/clean.json").write_text(json.dumps(clean))
    Path("metrics/split.json").write_text(json.dumps(LEAKS))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose cards were exported, as the working folder."""
    folder = tmp_path_factory.mktemp("project")
    with contextlib.chdir(folder):
        make_project(folder)
        export(Path("exports"))
        yield folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without exports; its pictures are blank, which saves their time."""
    monkeypatch.chdir(tmp_path)
    make_project(tmp_path)
    monkeypatch.setattr(
        "medtune.export.card_description.save",
        lambda figure, folder, name: (folder / f"{name}.png").touch(),
    )
    return tmp_path


def read_back(folder: str) -> set[tuple[str | None, str | None, str, str]]:
    columns = Columns(question="question", answer="answer", kind="kind", topic="topic")
    clean = load_params("clean").model_copy(update={"reader": "columns", "columns": columns})
    records = read_records(Path(folder), clean)
    return {(record.question, record.answer, record.kind, record.topic) for record in records}


@pytest.mark.slow
def test_every_format_is_a_data_set_again(exported: Path) -> None:
    cards = {card[1:5] for card in CARDS}
    assert read_back("exports/jsonl") == cards
    assert read_back("exports/parquet") == cards
    assert read_back("exports/dataset") == cards
    escaped = {
        (q, f"'{a}" if a.startswith(("=", "-")) else a, f"'{kind}", topic)
        for q, a, kind, topic in cards
    }
    assert read_back("exports/csv") == escaped


@pytest.mark.slow
def test_datasets_loads_the_folder_as_a_dict_of_splits(exported: Path) -> None:
    loaded = datasets.load_from_disk("exports/dataset")
    assert list(loaded) == list(SPLITS)
    assert loaded["validation"].column_names == list(COLUMNS)
    assert [tuple(row.values()) for row in loaded["validation"]] == CARDS[2:4]
    assert loaded["test"].split == "test"


@pytest.mark.slow
def test_conversations_keep_their_history_in_every_format(project: Path) -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "µ"}]
    for split in SPLITS:
        path = Path(f"data/split/{split}.parquet")
        pq.write_table(pq.read_table(path).append_column("history", [[said, []]]), path)
    export(Path("exports"))
    for frame in (
        datasets.load_from_disk("exports/dataset")["test"].to_list(),
        pq.read_table("exports/parquet/test.parquet").to_pylist(),
        pd.read_json("exports/jsonl/test.jsonl", lines=True).to_dict("records"),
    ):
        assert [row["history"] for row in frame] == [said, []]
    table = pd.read_csv("exports/csv/test.csv", encoding="utf-8-sig")
    assert [json.loads(cell) for cell in table["history"]] == [said, []]


@pytest.mark.slow
def test_a_card_of_several_rows_has_the_length_of_the_longest(project: Path) -> None:
    ids = [CARDS[0][0], CARDS[1][0], CARDS[1][0]]
    tokens = pa.table({"id": ids, "input_ids": [[1, 2], [1, 2, 3], [1]]})
    with pa.ipc.new_file("data/tokens/train.arrow", tokens.schema) as file:
        file.write_table(tokens)
    cards = read_cards()
    assert cards[cards["split"] == "train"]["tokens"].tolist() == [2, 3]


@pytest.mark.slow
def test_pictures_and_tables_are_there_and_the_same_bytes_each_time(exported: Path) -> None:
    first = tree(Path("exports"))
    names = {name.partition("/")[2].partition(".")[0] for name in first if "figures/" in name}
    assert names == FIGURES
    assert sum(name.startswith("tables/") for name in first) == 10
    rows = first["tables/dropped_rows.csv"].decode("utf-8-sig").splitlines()
    assert rows == ['"question","reason"', '"\'=2","empty_answer"']
    export(Path("exports"))
    assert tree(Path("exports")) == first


@pytest.mark.slow
def test_what_no_stage_has_made_is_left_out_with_a_message(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("data/tokens/test.arrow").unlink()
    Path("metrics/clean.json").unlink()
    Path("metrics/split.json").unlink()
    with caplog.at_level(logging.INFO):
        export(Path("exports"))
    names = {path.stem for path in Path("exports/figures").iterdir()}
    assert names == FIGURES - {"tokens", "leak_rates", "dropped", "fixed"}
    for stage in ("tokenize", "clean", "split"):
        assert f"run dvc repro {stage} to get" in caplog.text
    assert "7 cells of the CSV files" not in caplog.text and "8 cells" in caplog.text


def test_only_cells_that_begin_like_formulas_get_an_apostrophe(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    table = pd.DataFrame({"text": FORMULAS + HARMLESS})
    assert write_spreadsheet(path, table) == len(FORMULAS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for (cell,) in csv.reader(file, strict=True)]
    assert cells == ["text", *(f"'{text}" for text in FORMULAS), *HARMLESS]


@pytest.mark.slow
def test_a_file_beside_an_earlier_export_is_left_alone(project: Path) -> None:
    export(Path("exports"))
    Path("exports/mine.txt").write_text("mine")
    before = tree(project)
    with pytest.raises(InputError, match=r"contains mine\.txt, which was not written by"):
        export(Path("exports"))
    assert tree(project) == before


@pytest.mark.slow
def test_an_empty_folder_is_taken_and_a_missing_split_is_one_line(project: Path) -> None:
    Path("else/where").mkdir(parents=True)
    export(Path("else/where"))
    assert Path("else/where/README.txt").exists()
    Path("data/split/test.parquet").unlink()
    before = tree(project)
    with pytest.raises(
        InputError, match=r"^data/split/test.parquet is missing: run dvc repro split$"
    ):
        export(Path("else/where"))
    assert tree(project) == before
