import csv
from pathlib import Path

import pyarrow as pa
import pytest

from medtune.comparison.choice_accuracy import compared_choices, read_choices, write_reliability
from medtune.comparison.confidence_intervals import Settings
from medtune.runtime.atomic_files import write_table
from medtune.runtime.errors import InputError
from medtune.scoring.choice_answers import SCHEMA

SETTINGS = Settings(resamples=400, confidence=0.95, seed=42)


def answers(medical: str, general: str, probability: float = 0.55) -> pa.Table:
    """A question per letter: + for a right answer, - for a wrong one."""
    rows = [
        {
            "set": name,
            "id": f"{name}:{i}",
            "question": f"{i}?",
            "options": ["a", "b", "c"],
            "correct": i % 2,
            "chosen": i % 2 if letter == "+" else 2,
            "probability": probability,
            "correct_probability": 0.2,
        }
        for name, letters in (("medical", medical), ("general", general))
        for i, letter in enumerate(letters)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


TABLES = {
    "base": answers("+--------+", "++++++----"),
    "finetuned": answers("++++++++--", "++++++-+-+", 0.75),
}


def test_each_set_has_the_difference_of_accuracies_with_its_interval() -> None:
    flat = compared_choices(TABLES, SETTINGS)
    accuracy = {
        key.rpartition(".")[2]: value for key, value in flat.items() if "medical.accuracy" in key
    }
    assert flat["choices.medical.n"] == flat["choices.general.n"] == 10
    assert (accuracy["base"], accuracy["finetuned"]) == (0.2, 0.8)
    assert accuracy["difference"] == pytest.approx(0.6)
    assert 0 < accuracy["ci_low"] < 0.6 < accuracy["ci_high"]
    assert [accuracy[key] for key in ("wins", "ties", "losses")] == [7, 2, 1]
    assert 0.01 < accuracy["p_value"] < 0.2
    assert flat["choices.general.accuracy.difference"] == pytest.approx(0.2)
    assert flat["choices.medical.ece.base"] == pytest.approx(0.35)
    assert flat["choices.medical.ece.finetuned"] == pytest.approx(0.05)
    assert flat["choices.medical.ece.difference"] == pytest.approx(-0.3)


def test_sets_that_were_not_asked_are_absent(tmp_path: Path) -> None:
    tables = {"base": answers("", "+-"), "finetuned": answers("", "-+")}
    assert all(key.startswith("choices.general.") for key in compared_choices(tables, SETTINGS))
    empty = dict.fromkeys(("base", "finetuned"), SCHEMA.empty_table())
    assert compared_choices(empty, SETTINGS) == {}
    write_reliability(tmp_path / "plot.csv", empty)
    assert (tmp_path / "plot.csv").read_text() == "model,set,answers,probability,accuracy\n"


def test_reliability_has_a_curve_of_each_model_and_set(tmp_path: Path) -> None:
    write_reliability(tmp_path / "plot.csv", TABLES)
    with (tmp_path / "plot.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("base", "medical", "10", "0.55", "0.2"),
        ("base", "general", "10", "0.55", "0.6"),
        ("finetuned", "medical", "10", "0.75", "0.8"),
        ("finetuned", "general", "10", "0.75", "0.8"),
    ]


def test_other_questions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(Path("data/predictions/base_choices.parquet"), TABLES["base"])
    with pytest.raises(InputError, match="is missing: run dvc repro evaluate@fi"):
        read_choices()
    for other in (TABLES["base"].slice(1), answers("+" * 11, "+" * 9)):
        write_table(Path("data/predictions/finetuned_choices.parquet"), other)
        with pytest.raises(InputError, match="asked different multiple-choice questions: run dvc"):
            read_choices()
    write_table(Path("data/predictions/finetuned_choices.parquet"), TABLES["finetuned"])
    assert read_choices()["finetuned"].equals(TABLES["finetuned"])
