import pytest

from medtune.report.facts import Facts
from medtune.report.plot_data import forest_points, histogram


def test_histogram_keeps_empty_bins_between_full_ones() -> None:
    bars = histogram({"base": [0, 9, 31], "reference": [10]})
    assert [count for _, model, count in bars if model == "base"] == [2, 0, 0, 1]
    assert [words for words, model, _ in bars if model == "reference"] == [0, 10, 20, 30]


@pytest.mark.slow
def test_the_forest_has_a_point_for_each_score_and_system_and_marks_the_best(facts: Facts) -> None:
    points = forest_points(facts.metrics["compare_systems"], few_shot=3)
    assert [point for point in points if point[0] == "rougeL"] == [
        ("rougeL", "base model", 0.05, -0.01, 0.11, "other"),
        ("rougeL", "base model with 3 cards", 0.05, -0.01, 0.11, "other"),
        ("rougeL", "fill-in rule", 0.05, -0.01, 0.11, "best"),
    ]
    assert {point[0] for point in points} == {"rougeL", "content_f1", "meaning", "facts"}
