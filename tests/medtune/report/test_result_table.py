from typing import Any

import pytest

from medtune.report.facts import Facts
from medtune.report.result_table import FIRST_SCORES, result_rows
from medtune.scoring.scores import SCORES


def test_rows_name_the_system_that_was_best_on_validation(facts: Facts) -> None:
    systems: dict[str, Any] = facts.metrics["compare_systems"]
    systems |= {"best.bleu": "few_shot", "primary.bleu.best": "better"}
    rows = {row.name: row for row in result_rows(systems, facts.params)}
    assert rows["rougeL"].cells() == [
        *("ROUGE-L", "0.200", "0.250 (fill-in rule)", "0.300", "+0.050", "-0.010 to +0.110")
    ]
    assert rows["bleu"].cells()[2] == "0.2 (base, 3 cards)"
    assert (rows["bleu"].verdict, rows["rougeL"].verdict) == ("better", "unclear")
    assert rows["mean_words"].cells() == ["words per answer", "0.2", "", "0.3", "", ""]


def test_a_score_that_the_run_does_not_have_has_no_row(facts: Facts) -> None:
    systems: dict[str, Any] = facts.metrics["compare_systems"]
    without = {key: value for key, value in systems.items() if ".facts" not in key}
    names = [row.name for row in result_rows(without, facts.params, FIRST_SCORES)]
    assert sorted(names) == sorted(set(FIRST_SCORES) - {"facts"})


@pytest.mark.parametrize("name", FIRST_SCORES)
def test_the_first_scores_exist_and_have_a_better_side(name: str) -> None:
    (score,) = (score for score in SCORES if score.name == name)
    assert score.better
