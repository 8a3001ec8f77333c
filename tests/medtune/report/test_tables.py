import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medtune.report.score_rows import Facts
from medtune.report.tables import (
    FIELDS,
    SPLITS,
    TABLES,
    compared_scores,
    read_splits,
    write_tables,
)
from medtune.runtime.files import write_table

VALUES = dict(zip(FIELDS, (0.2, 0.3, 0.1, 0.05, 0.15, 0.01, 5, 3, 2), strict=True))


def compared(name: str, **changes: Any) -> dict[str, Any]:
    return {f"{name}.{field}": value for field, value in (VALUES | changes).items()}


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.chdir(tmp_path)
    answer = {"id": "b", "kind": "onset", "question": '1 < 2,\n"why"?', "reference": "é"}
    answer |= {"base": "", "finetuned": "=1", "base_score": 1 / 3, "finetuned_score": 0.0}
    lengths = {"11-20 words.n": 1, "11-20 words.groups": 1, **compared("11-20 words.rougeL")}
    lengths |= {"6-10 words.n": 9, "6-10 words.groups": 8, **compared("6-10 words.rougeL")}
    lengths |= compared("6-10 words.perplexity")
    return Facts(
        preset="default",
        seed=42,
        params={},
        metrics={
            "compare": {
                "n": 10,
                "groups": 9,
                **compared("choices.medical.accuracy"),
                "choices.medical.ece.difference": -0.1,
                **compared("rougeL"),
                **compared("bleu", wins=None, ties=None, losses=None),
            },
            "compare_lengths": lengths,
        },
        curves={"train": [(10, 2.0), (20, 1.5)], "validation": [(20, 1.75)]},
        answers=[answer | {"difference": -1 / 3}],
        prompt={},
        adapter={},
    )


def rows_of(name: str) -> list[list[str]]:
    with (TABLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_scores_have_all_fields_and_those_of_medtune_come_first(facts: Facts) -> None:
    write_tables(facts, {})
    header, *rows = rows_of("scores")
    assert header == ["score", "title", *FIELDS]
    assert [row[:2] for row in rows] == [
        ["rougeL", "ROUGE-L"],
        ["bleu", "BLEU"],
        ["choices.medical.accuracy", "choices medical accuracy"],
        ["choices.medical.ece", "choices medical ece"],
    ]
    assert rows[0][2:] == [str(value) for value in VALUES.values()]
    assert rows[1][-3:] == ["", "", ""]


def test_questions_keep_their_text_save_for_formulas(facts: Facts) -> None:
    write_tables(facts, {})
    row = dict(zip(*rows_of("questions"), strict=True))
    assert row["question"] == '1 < 2,\n"why"?'
    assert [row["finetuned"], row["base_rougeL"], row["difference"]] == [
        *("'=1", "0.333333", "-0.333333")
    ]


def test_extremes_are_ten_gains_and_ten_regressions(facts: Facts) -> None:
    (answer,) = facts.answers
    answers = [answer | {"id": str(n), "difference": n / 100} for n in range(-12, 13)]
    write_tables(replace(facts, answers=answers), {})
    changes = [(row[0], row[2]) for row in rows_of("extremes")[1:]]
    gains = [("gain", str(n)) for n in range(12, 2, -1)]
    assert changes == gains + [("regression", str(n)) for n in range(-12, -2)]


def test_curves_and_data_list_every_point_and_kind(facts: Facts) -> None:
    write_tables(facts, {"train": {"onset": 7}, "test": {"onset": 2, "definition": 1}})
    assert rows_of("curves")[1:] == [
        ["train", "10", "2.0"],
        ["train", "20", "1.5"],
        ["validation", "20", "1.75"],
    ]
    assert rows_of("data") == [
        ["kind", "train", "test"],
        ["definition", "0", "1"],
        ["onset", "7", "2"],
    ]


def test_only_the_parts_that_were_compared_have_a_table_and_old_ones_go(facts: Facts) -> None:
    TABLES.mkdir(parents=True)
    (TABLES / "topics.csv").write_text("old", encoding="utf-8")
    write_tables(facts, {})
    names = sorted(path.name for path in TABLES.iterdir())
    expected = ("curves", "data", "extremes", "lengths", "questions", "scores")
    assert names == [f"{name}.csv" for name in expected]


def test_the_better_side_of_every_score_is_known() -> None:
    names = ("perplexity", "choices.a.ece", "choices.a.accuracy")
    metrics = {f"{name}.difference": None for name in names}
    sides = {score.name: score.better for score in compared_scores(metrics)}
    assert sides == {"perplexity": -1, "choices.a.accuracy": 1, "choices.a.ece": -1}


def test_kinds_are_counted_per_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    monkeypatch.chdir(tmp_path)
    for path, kinds in zip(SPLITS.values(), (["a", "b", "a"], ["b"], []), strict=True):
        write_table(path, pa.table({"kind": pa.array(kinds, pa.string())}))
    assert read_splits() == {"train": {"a": 2, "b": 1}, "validation": {"b": 1}, "test": {}}


def test_parts_come_in_the_order_of_their_numbers(facts: Facts) -> None:
    write_tables(facts, {})
    rows = [row[:4] for row in rows_of("lengths")[1:]]
    assert rows == [
        ["6-10 words", "9", "8", "rougeL"],
        ["6-10 words", "9", "8", "perplexity"],
        ["11-20 words", "1", "1", "rougeL"],
    ]
