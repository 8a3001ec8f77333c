from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.comparison.confidence_intervals import Settings
from medtune.comparison.systems import (
    RULE_ANSWERS,
    SAME_COLUMNS,
    best_untrained,
    compared_systems,
    defined_scores,
    read_systems,
)
from medtune.runtime.atomic_files import write_table
from medtune.runtime.errors import InputError
from medtune.scoring.answer_counts import TextCounter
from medtune.scoring.hf_evaluate_metrics import all_scores
from medtune.scoring.system_names import MODELS, RULES

SETTINGS = Settings(resamples=200, confidence=0.95, seed=1)
REFERENCES = ("one two three four", "five six seven eight", "one three five seven")
RIGHT = {"base": 1, "few_shot": 2, "finetuned": 4, "echo": 0, "fill_in": 3}  # of four words


def answers(right: int, model: bool, split: str = "test") -> pa.Table:
    """Answers of which so many words are right; a rule has no likelihood."""
    counter, rows = TextCounter(use_stemmer=False), []
    for n, reference in enumerate(REFERENCES):
        text = " ".join([*reference.split()[:right], *["wrong"] * (4 - right)])
        row = dict.fromkeys(SAME_COLUMNS, f"{split} {n}") | {"reference": reference}
        row |= {"prediction": text, "stopped": True, "disclaimer": False}
        row |= {"nll": 9.0 - right, "answer_tokens": 5} if model else {}
        rows.append(row | counter(text, reference, "?"))
    table = pa.Table.from_pylist(rows)
    if not model:
        table = table.append_column("nll", pa.nulls(len(rows), pa.float64()))
        table = table.append_column("answer_tokens", pa.nulls(len(rows), pa.int64()))
    return table


def systems(split: str = "test", **changes: int) -> dict[str, pa.Table]:
    return {
        name: answers(right, name in MODELS, split) for name, right in (RIGHT | changes).items()
    }


def write(both: dict[str, dict[str, pa.Table]]) -> None:
    """Writes the files of all systems; those that are off have no rows."""
    rules = []
    for split, tables in both.items():
        for name in MODELS:
            table = tables.get(name, tables["base"].slice(0, 0))
            suffix = "" if split == "test" else f"_{split}"
            write_table(Path(f"data/predictions/{name}{suffix}.parquet"), table)
        for name in RULES:
            if name in tables:
                rows = tables[name].num_rows
                table = tables[name].add_column(0, "split", pa.array([split] * rows))
                rules.append(table.add_column(0, "system", pa.array([name] * rows)))
    write_table(RULE_ANSWERS, pa.concat_tables(rules))


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, pa.Table]]:
    monkeypatch.chdir(tmp_path)
    return {split: systems(split) for split in ("validation", "test")}


@pytest.mark.slow
def test_systems_without_rows_are_left_out(both: dict[str, dict[str, pa.Table]]) -> None:
    write(both)
    found = read_systems()
    assert list(found) == ["validation", "test"]
    for split in found:
        assert list(found[split]) == ["base", "few_shot", "finetuned", "echo", "fill_in"]
        assert found[split]["echo"]["id"].to_pylist() == [f"{split} {n}" for n in range(3)]


@pytest.mark.slow
def test_systems_that_answered_other_cards_stop_the_comparison(
    both: dict[str, dict[str, pa.Table]],
) -> None:
    few_shot = both["test"]["few_shot"]
    write(both | {"test": both["test"] | {"few_shot": few_shot.take([1, 0, 2])}})
    with pytest.raises(InputError, match=r"^base and few_shot differ in column id of the test"):
        read_systems()
    write(both | {"test": both["test"] | {"few_shot": few_shot.slice(0, 2)}})
    with pytest.raises(InputError, match=r"^base and few_shot answered 3 and 2 test cards: run"):
        read_systems()
    write(both | {"test": both["test"] | {"finetuned": few_shot.slice(0, 0)}})
    with pytest.raises(InputError, match=r"^finetuned has no answers to the test cards: run dvc"):
        read_systems()


@pytest.mark.slow
def test_the_best_is_picked_on_the_validation_cards_alone() -> None:
    validation = systems("validation", few_shot=4, finetuned=0, fill_in=1)
    flat = compared_systems({"validation": validation, "test": systems()}, SETTINGS)
    assert flat["best.rougeL"] == "few_shot", "although fill_in is better on the test cards"
    assert (flat["few_shot.rougeL"], flat["few_shot.rougeL.validation"]) == (0.5, 1.0)
    assert flat["few_shot.rougeL.difference"] == pytest.approx(0.5)
    assert flat["few_shot.rougeL.ci_low"] <= 0.5 <= flat["few_shot.rougeL.ci_high"]


@pytest.mark.slow
@pytest.mark.parametrize(("higher", "best"), [(True, "fill_in"), (False, "echo"), (None, None)])
def test_a_metric_of_the_library_evaluate_is_compared_on_the_side_that_its_user_names(
    higher: bool | None, best: str | None
) -> None:
    scores = all_scores([{"name": "wer", "higher_is_better": higher}])
    found = {
        split: {
            name: table.append_column("metrics.wer", pa.array([float(RIGHT[name])] * 3))
            for name, table in systems(split).items()
        }
        for split in ("validation", "test")
    }
    flat = compared_systems(found, Settings(200, 0.95, 1, scores))
    assert flat.get("best.metrics.wer") == best
    assert (flat["finetuned.metrics.wer"], flat["base.metrics.wer.difference"]) == (4, 3)


def test_of_equal_systems_the_simpler_one_is_the_best() -> None:
    best = best_untrained(systems(base=2, few_shot=2, fill_in=2))
    assert best["rougeL"] == "base"


def test_rules_neither_have_a_likelihood_nor_compete_in_what_they_cannot_fail() -> None:
    tables = systems()
    names = {score.name for score in defined_scores(tables["fill_in"])}
    assert "rougeL" in names and "perplexity" not in names
    best = best_untrained(tables)
    assert best["rougeL"] == "fill_in"
    assert {best[name] for name in ("perplexity", "stopped_rate", "repetition_rate")} <= {
        *("base", "few_shot")
    }
    assert "mean_words" not in best, "it has no better side"


@pytest.mark.slow
def test_every_system_is_compared_with_the_fine_tuned_model() -> None:
    tables = systems()
    flat: dict[str, Any] = compared_systems({"validation": systems("v"), "test": tables}, SETTINGS)
    assert (flat["n"], flat["groups"]) == (3, 3)
    for name in RIGHT:
        assert (f"{name}.rougeL.difference" in flat) == (name != "finetuned"), name
    assert "echo.perplexity.difference" not in flat
    assert flat["base.perplexity.difference"] < 0


@pytest.mark.slow
def test_a_score_that_the_test_cards_lack_has_no_best() -> None:
    columns = {"facts_right": [1.0] * 3, "facts_rows": [1.0] * 3}
    validation = {
        name: pa.table({**dict(zip(t.column_names, t.columns, strict=True)), **columns})
        for name, t in systems("validation").items()
    }
    assert best_untrained(validation)["facts"] == "base"
    flat = compared_systems({"validation": validation, "test": systems()}, SETTINGS)
    assert "best.facts" not in flat


@pytest.mark.slow
def test_scores_that_only_some_cards_have_say_how_many() -> None:
    columns = {"facts_right": [1.0, 0.0, 0.0], "facts_rows": [1.0, 1.0, 0.0]}
    tables = {
        name: pa.table({**dict(zip(t.column_names, t.columns, strict=True)), **columns})
        for name, t in systems().items()
    }
    flat = compared_systems({"validation": tables, "test": tables}, SETTINGS)
    assert (flat["base.facts.counted_rows"], flat["best.facts"]) == (2, "base")
    assert "base.rougeL.counted_rows" not in flat and "groups.effective" not in flat
