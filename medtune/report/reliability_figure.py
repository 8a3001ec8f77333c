"""Draws how well a model's confidence in its choices matches how often they are right."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
from scipy.stats import binomtest

from medtune.report.figure_style import (
    COLORS,
    MARKS,
    draw_legend,
    model_looks,
    new_figure,
    shortened,
)
from medtune.report.number_formats import percent
from medtune.scoring.calibration import reliability as reliability_curve
from medtune.scoring.calibration import sets_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_figure(choices: Mapping[str, pa.Table], confidence: float) -> "Figure | None":
    """Draws how often the chosen option is right, by the probability that the model gives it.

    The intervals are Wilson's (1927). Returns None if no multiple-choice question was asked.
    """
    sets = {model: sets_of(table) for model, table in choices.items()}
    names = sorted({name for parts in sets.values() for name in parts})
    if not names:
        return None
    figure, panels = new_figure(
        min(5.8 / len(names), 4.0) + 1.2, 1, len(names), sharex=True, sharey=True
    )
    for axes, name in zip(panels, names, strict=True):
        axes.plot([0, 1], [0, 1], color="#999999", linestyle=":")
        for model, parts in sets.items():
            counts, means, rates = zip(*reliability_curve(parts[name]), strict=True)
            reach = [wilson_reach(*point, confidence) for point in zip(counts, rates, strict=True)]
            look = {"color": COLORS[model], "marker": MARKS[model], "markersize": 5}
            lower, upper = zip(*reach, strict=True)
            axes.errorbar(means, rates, yerr=(lower, upper), capsize=2, linewidth=1, **look)
        axes.set_title(f"{shortened(name)}, {sum(counts)} questions", loc="left")
        axes.set(xlabel="mean probability of the chosen option", xlim=(0, 1), ylim=(0, 1))
        axes.set_aspect("equal")
    panels[0].set_ylabel(f"share of right answers, {percent(confidence)} interval")
    draw_legend(figure, {**model_looks(), "calibrated": {"color": "#999999", "linestyle": ":"}})
    return figure


def wilson_reach(n: int, share: float, confidence: float) -> tuple[float, float]:
    """Returns how far Wilson's interval extends below and above a share of `n` answers."""
    interval = binomtest(round(n * share), n).proportion_ci(confidence, method="wilson")
    return max(0.0, share - interval.low), max(0.0, interval.high - share)
