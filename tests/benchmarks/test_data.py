import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import data
from benchmarks.cards import SCHEMA
from benchmarks.data_table import BLOCK, TITLES, block

ROOT = Path(__file__).parents[2]
STAGE = {"seconds": 2.0, "seconds_of_rounds": [2.0], "cards_per_s": 5e3, "peak_memory_gib": 0.5}
PEER = {"seconds": 9.0, "us_per_card": 900.0, "ours_is_faster": 3.0, "peak_memory_gib": 1.0}


def results() -> dict[str, Any]:
    metrics = {
        "clean": {"dropped.duplicate": 30, "kept": 960},
        "split": {"groups": 700, "largest_group_share": 0.01, "largest_component_share": 0.5},
        "tokenize": {"train.tokens": 5000, "test.tokens": 600, "test.supervised_tokens": 9},
    }
    stages = {stage: STAGE | {"us_per_card": 100.0} for stage in data.STAGES}
    return {
        "sizes": {
            "10000": {**stages, "metrics": metrics},
            "1000000": {**stages, "metrics": metrics},
        },
        "growth": dict.fromkeys(data.STAGES, 1.0),
        "start_s": dict.fromkeys(data.STAGES, 0.4),
        "peers": dict.fromkeys(TITLES, PEER),
        "same_on_one_processor": True,
        "machine": {"device": "CPU", "cores": 2, "threads": 2},
        "versions": {"pyarrow": "26"},
    }


def test_the_table_says_what_was_measured() -> None:
    text = block(results())
    assert "| split | 2.0 s | 2.0 s | 100 → 100 | 1.00 × | 0.50 GiB | 5,000 |" in text
    assert "| all three | 6.0 s | 6.0 s | 300 → 300 | 1.00 × | 0.50 GiB | 166,667 |" in text
    for stage, title in TITLES.values():
        assert f"| {stage} | {title} | 9.0 s | 900 | 3.00 × | 1.00 GiB |" in text
    assert "30 were exact duplicates" in text and "5,600 tokens" in text
    assert "the same bytes" in text
    assert "OTHER BYTES" in block(results() | {"same_on_one_processor": False})
    assert BLOCK.fullmatch(text)


@pytest.fixture
def project(tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the benchmark reads: parameters, a small base model and real cards."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/base").symlink_to(base_folder)
    for name in ("benchmarks", "medtune", "presets", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "data/clean").mkdir(parents=True)
    names = [f"{a}{b}{c}ia" for a in "bdfgklmn" for b in "aeiou" for c in "prstvxz"]
    rows = [
        (f"What is {name}?", f"A rare disease of the {other} and its vessels.", "definition", name)
        for name, other in zip(names, reversed(names), strict=True)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, SCHEMA), tmp_path / data.RECORDS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_stages_and_alternatives_run_on_made_cards(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data, "START_CARDS", 150)
    options = "--sizes 400 --compared 400 --rounds 1 --output trial.json"
    monkeypatch.setattr(sys, "argv", ["data", *options.split()])
    data.main()
    found = json.loads(Path("trial.json").read_text())
    assert found["growth"] == dict.fromkeys(data.STAGES, 1.0)
    for stage in data.STAGES:
        cost = found["sizes"]["400"][stage]
        assert cost["seconds"] > 0 and 0.02 < cost["peak_memory_gib"] < 4
    metrics = found["sizes"]["400"]["metrics"]
    assert metrics["clean"]["records_in"] == 400 > metrics["clean"]["kept"] > 350
    splits = [metrics["split"][name] for name in ("train", "validation", "test")]
    assert sum(splits) > 300, "no cap"
    assert found["peers"]["pandas"]["kept"] == metrics["clean"]["kept"]
    assert found["peers"]["chat_template"]["cards"] == sum(splits)
    assert "datasketch" not in found["peers"]
    assert found["same_on_one_processor"] is True
    assert "| all three |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--sizes 1000 --compared 5", "--compared is 5: it must be one of --sizes"),
        ("--sizes 100 --compared 100", "each of --sizes above 200"),
        ("--sizes 1000 --compared 1000 --rounds 0", "--rounds must be 1 or more"),
        ("--sizes 1000 --compared 1000", "models/base/tokenizer.json is missing"),
    ],
)
def test_wrong_arguments_are_one_line(
    options: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["data", *options.split()])
    with pytest.raises(SystemExit):
        data.main()
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
