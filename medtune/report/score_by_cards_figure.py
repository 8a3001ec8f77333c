"""Draws scores over the number of training cards, with what twice as many would bring."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medtune.comparison.score_by_cards import LearningCurve
from medtune.report.figure_style import COLORS, CURVES, drawn_in_style, new_figure
from medtune.report.number_formats import interval_text, number, percent
from medtune.runtime.atomic_files import replacing, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("score", "cards", "value", "ci_low", "ci_high", "is_extrapolated")
PANEL_HEIGHT = 2.1  # inches
PANELS_PER_ROW = 2
SEEN, AHEAD = COLORS["finetuned"], CURVES["validation"]["color"]


def write_curves(curves: Sequence[LearningCurve], confidence: float, path: Path) -> None:
    """Writes the picture, and its points beside it as CSV."""
    write_csv(path.with_suffix(".csv"), COLUMNS, [row for curve in curves for row in rows(curve)])
    count = math.ceil(len(curves) / PANELS_PER_ROW)
    with drawn_in_style(), replacing(path) as temporary:
        figure, panels = new_figure(PANEL_HEIGHT * count + 0.5, count, PANELS_PER_ROW)
        for axes in panels[len(curves) :]:
            axes.remove()
        for curve, axes in zip(curves, panels, strict=False):
            draw(curve, axes)
        title = (
            f"Fine-tuned model by number of training cards, with {percent(confidence)} intervals"
        )
        figure.suptitle(title, fontsize="medium")
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})


def rows(curve: LearningCurve) -> list[tuple[str, int, float, float, float, bool]]:
    name, gain, last = curve.score.name, curve.doubling, curve.values[-1].value
    seen = [
        (name, cards, value.value, value.ci_low, value.ci_high, False)
        for cards, value in zip(curve.cards, curve.values, strict=True)
    ]
    ends = (last + gain.value, last + gain.ci_low, last + gain.ci_high)
    return [*seen, (name, 2 * curve.cards[-1], *ends, True)]


def draw(curve: LearningCurve, axes: "Axes") -> None:
    *seen, ahead = rows(curve)
    for points, color in ((seen, SEEN), ([ahead], AHEAD)):
        cards, values = [row[1] for row in points], [row[2] for row in points]
        arms = [[row[2] - row[3] for row in points], [row[4] - row[2] for row in points]]
        axes.errorbar(cards, values, yerr=arms, color=color, marker="o", markersize=5, capsize=3)
    line = ([seen[-1][1], ahead[1]], [seen[-1][2], ahead[2]])
    axes.plot(*line, color=AHEAD, linestyle="--")
    axes.set_xscale("log", base=2)
    ticks = [*curve.cards, ahead[1]]
    axes.set_xticks(ticks, [f"{cards:,}" for cards in ticks])
    axes.minorticks_off()
    axes.set_title(curve.score.title)
    axes.set_xlabel("training cards (dashed: extrapolated)")


def sentence(curve: LearningCurve, confidence: float) -> str:
    """Answers whether more cards are worth it, with the gain and how far the method missed."""
    digits, gain = curve.score.digits, curve.doubling
    interval = interval_text(gain.ci_low, gain.ci_high, digits)
    return (
        f"{curve.score.title}: {'yes' if curve.is_worth_it else 'not shown'}; twice as many "
        f"({2 * curve.cards[-1]:,}) would bring {number(gain.value, digits, sign=True)} "
        f"({percent(confidence)} interval {interval}), and the same extrapolation from fewer "
        f"cards missed the score of {curve.cards[-1]:,} by "
        f"{number(curve.missed_by, digits, sign=True)}."
    )
