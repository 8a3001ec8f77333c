from typing import Any

import pytest
from matplotlib.text import Text

from medtune.report.facts import Facts
from medtune.report.systems_figure import forest, rivals

pytestmark = pytest.mark.slow


def texts(figure: Any) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text)]


def test_each_score_that_rules_have_too_is_a_panel(facts: Facts) -> None:
    figure = forest(facts.metrics["compare_systems"], few_shot=3, confidence=0.9)
    assert figure is not None
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert titles[0] == "ROUGE-L" and len(titles) == 4
    found = texts(figure)
    assert "Fine-tuned minus each system, 90% interval, n = 9" in found
    assert {"base model", "base model with 3 cards", "fill-in rule"} <= set(found)


def test_the_hardest_to_beat_comes_first_and_the_best_has_a_band(facts: Facts) -> None:
    systems = facts.metrics["compare_systems"] | {"few_shot.rougeL.difference": -0.1}
    assert rivals(systems, "rougeL") == ["few_shot", "base", "fill_in"]
    figure = forest(systems, few_shot=3, confidence=0.95)
    assert figure is not None
    (band,) = figure.axes[0].patches
    assert (band.get_y(), band.get_height()) == (1.5, 1.0), "fill_in is the third row"


def test_systems_that_are_off_leave_no_row_and_no_systems_no_picture(facts: Facts) -> None:
    systems: dict[str, Any] = facts.metrics["compare_systems"]
    without = {key: value for key, value in systems.items() if not key.startswith("few_shot")}
    figure = forest(without, few_shot=0, confidence=0.95)
    assert figure is not None and "base model with 0 cards" not in texts(figure)
    assert forest({"n": 9}, few_shot=3, confidence=0.95) is None
