from typing import Any

import pytest

from medtune.report.facts import Facts
from medtune.report.headline import FIRST_SCORES, headline, system_rows
from medtune.scoring.scores import SCORES


def test_the_headline_is_the_verdict_then_the_primary_scores(facts: Facts) -> None:
    facts.metrics["compare_kinds"] = {}
    verdict, *leads = headline(facts.metrics, facts.params)
    assert verdict == "The fine-tuning made no change that 9 test cards could show."
    assert leads == [
        "ROUGE-L: 0.300, +0.050 against the fill-in rule, the best without training (95% interval "
        "-0.010 to +0.110), and +0.050 against the base model (-0.010 to +0.110).",
        "Content words: 0.300, +0.050 against the fill-in rule, the best without training (95% "
        "interval -0.010 to +0.110), and +0.050 against the base model (-0.010 to +0.110).",
    ]


def test_a_base_model_that_is_the_best_is_named_once(facts: Facts) -> None:
    facts.metrics["compare_kinds"] = {}
    facts.metrics["compare_systems"]["best.rougeL"] = "base"
    (lead, _) = headline(facts.metrics, facts.params)[1:]
    assert lead == (
        "ROUGE-L: 0.300, +0.050 against the base model, the best without training (95% interval "
        "-0.010 to +0.110)."
    )


def test_a_model_that_learned_nothing_is_said_to_have_learned_nothing(facts: Facts) -> None:
    facts.metrics["compare_kinds"] = {}
    systems = facts.metrics["compare_systems"]
    systems |= {f"base.perplexity.{name}": 0.0 for name in ("difference", "ci_low", "ci_high")}
    said = headline(facts.metrics, facts.params)[1]
    assert said.startswith("The model learned nothing: ") and "train.warmup_steps" in said
    systems["base.perplexity.ci_high"] = 0.01
    assert said not in headline(facts.metrics, facts.params)


def test_a_kind_that_broke_down_is_one_sentence(facts: Facts) -> None:
    values = {"stopped_rate.base": 0.84, "stopped_rate.finetuned": 0.4}
    values |= {"repetition_rate.base": 0.021, "repetition_rate.finetuned": 0.376}
    facts.metrics["compare_kinds"] = {"features.n": 25} | {
        f"features.{key}": value for key, value in values.items()
    }
    assert headline(facts.metrics, facts.params)[3:] == [
        "Features cards (n = 25): 60% of the answers do not end (base model 16%) and 38% of the "
        "four-word sequences repeat (base model 2%)."
    ]


def test_rows_name_the_system_that_was_best_on_validation(facts: Facts) -> None:
    systems: dict[str, Any] = facts.metrics["compare_systems"]
    systems |= {"best.bleu": "few_shot", "primary.bleu.best": "better"}
    rows = {row.name: row for row in system_rows(systems, facts.params)}
    assert rows["rougeL"].cells() == [
        *("ROUGE-L", "0.200", "0.250 (fill-in rule)", "0.300", "+0.050", "-0.010 to +0.110")
    ]
    assert rows["bleu"].cells()[2] == "0.2 (base, 3 cards)"
    assert (rows["bleu"].verdict, rows["rougeL"].verdict) == ("better", "unclear")
    assert rows["mean_words"].cells() == ["words per answer", "0.2", "", "0.3", "", ""]


def test_a_score_that_the_run_does_not_have_has_no_row(facts: Facts) -> None:
    systems: dict[str, Any] = facts.metrics["compare_systems"]
    without = {key: value for key, value in systems.items() if ".facts" not in key}
    names = [row.name for row in system_rows(without, facts.params, FIRST_SCORES)]
    assert sorted(names) == sorted(set(FIRST_SCORES) - {"facts"})


@pytest.mark.parametrize("name", FIRST_SCORES)
def test_the_first_scores_exist_and_have_a_better_side(name: str) -> None:
    (score,) = (score for score in SCORES if score.name == name)
    assert score.better
