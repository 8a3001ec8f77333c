import pytest

from medtune.comparison.gate import check_scores
from medtune.runtime.errors import InputError

SCORES = {
    "rougeL.base": 0.3,
    "rougeL.finetuned": 0.28,
    "rougeL.difference": -0.02,
    "perplexity.base": 9.0,
    "perplexity.finetuned": 10.5,
    "perplexity.difference": 1.5,
    "bleu.base": None,
    "bleu.finetuned": 3.0,
    "bleu.difference": None,
}
SYSTEMS = {
    "best.rougeL": "fill_in",
    "fill_in.rougeL": 0.35,
    "finetuned.rougeL": 0.28,
    "fill_in.rougeL.difference": -0.07,
}
METRICS = {"compare_scores": SCORES, "compare_systems": SYSTEMS}


@pytest.mark.parametrize("tolerances", [{}, {"rougeL": 0.02}, {"rougeL": 0.1, "perplexity": 1.5}])
def test_a_score_within_its_tolerance_passes(tolerances: dict[str, float]) -> None:
    check_scores(METRICS, tolerances, "report.html")


def test_worse_is_less_of_what_should_be_high_and_more_of_what_should_be_low() -> None:
    with pytest.raises(InputError) as caught:
        check_scores(METRICS, {"rougeL": 0.0, "perplexity": 0.5, "bleu": 50.0}, "report.html")
    assert str(caught.value) == (
        "the fine-tuned model is worse than compare.fail_if_worse allows, "
        "bleu: base model not defined, fine-tuned 3, difference not defined, tolerance 50; "
        "perplexity: base model 9, fine-tuned 10.5, difference 1.5, tolerance 0.5; "
        "rougeL: base model 0.3, fine-tuned 0.28, difference -0.02, tolerance 0: "
        "read report.html (all outputs are written), then train again or raise the tolerance"
    )


def test_the_best_system_without_training_can_be_the_one_to_beat() -> None:
    check_scores(METRICS, {"best.rougeL": 0.1}, "report.html")
    with pytest.raises(InputError) as caught:
        check_scores(METRICS, {"best.rougeL": 0.0, "best.bleu": 1.0}, "report.html")
    assert "bleu: base model not defined, fine-tuned not defined" in str(caught.value)
    assert "rougeL: fill-in rule 0.35, fine-tuned 0.28, difference -0.07, tolerance 0: read" in str(
        caught.value
    )


def test_better_passes_without_tolerance() -> None:
    better = {"base": 9.0, "finetuned": 4.0, "difference": -5.0}
    scores = {f"perplexity.{k}": v for k, v in better.items()}
    check_scores({"compare_scores": scores}, {"perplexity": 0.0}, "r")
