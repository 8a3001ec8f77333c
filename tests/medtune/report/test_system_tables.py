from typing import Any

import pytest

from medtune.report.facts import Facts
from medtune.report.system_tables import all_systems, main_scores_of, tuning_and_retrieval

pytestmark = pytest.mark.slow


def test_every_system_that_answered_has_a_row_and_the_best_a_mark(facts: Facts) -> None:
    systems = facts.metrics["compare_systems"]
    rows = {row.title: row.cells for row in all_systems(systems, few_shot=2)}
    assert list(rows) == [
        *("fill-in rule", "base model", "base model with 2 cards", "fine-tuned model")
    ]
    assert rows["fill-in rule"][0] == ("0.250", "0.250", True)
    assert rows["base model"][0] == ("0.200", "0.200", False)
    assert {len(cells) for cells in rows.values()} == {len(main_scores_of(systems))} == {5}


def test_a_rule_has_no_value_where_only_models_do(facts: Facts) -> None:
    systems = facts.metrics["compare_systems"]
    without = {k: v for k, v in systems.items() if not k.startswith("fill_in.stopped_rate")}
    cells = {row.title: row.cells for row in all_systems(without, few_shot=2)}["fill-in rule"]
    assert [test for test, _, _ in cells].count("n/a") == 1


def test_tuning_and_retrieval_are_crossed_where_both_models_saw_cards(facts: Facts) -> None:
    systems: dict[str, Any] = facts.metrics["compare_systems"]
    assert tuning_and_retrieval(systems, few_shot=3) == []
    (table,) = tuning_and_retrieval(systems | {"finetuned_few_shot.rougeL": 0.4}, few_shot=3)
    assert table.title == "ROUGE-L"
    assert table.rows == [
        ("base model", "0.200", "0.220"),
        ("fine-tuned model", "0.300", "0.400"),
    ]
