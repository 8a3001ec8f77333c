"""Draws the first picture of the report: the fine-tuned model against each system."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from medtune.comparison.verdict import CONTENT, outcome_against
from medtune.report.figure_style import (
    VERDICTS,
    draw_interval,
    draw_legend,
    new_figure,
    shortened,
)
from medtune.report.number_formats import percent
from medtune.scoring.scores import SCORES, Score
from medtune.scoring.system_names import UNTRAINED, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("rougeL", *CONTENT)  # the main scores that rules have too
ROW, AROUND = 0.23, 1.25  # inches: a system; titles, axis and legend
TITLE_LETTERS = 15  # in a line above a panel
BAND = "#E8EEF4"


def rivals(systems: Mapping[str, Any], score: str) -> list[str]:
    """Returns the systems without training that have this score, the hardest to beat first."""
    differences = {
        name: systems[f"{name}.{score}.difference"]
        for name in UNTRAINED
        if systems.get(f"{name}.{score}.difference") is not None
    }
    return sorted(differences, key=differences.__getitem__)


def forest(systems: Mapping[str, Any], few_shot: int, confidence: float) -> "Figure | None":
    """Draws fine-tuned minus each system without training, a panel for each score that has any."""
    scores = [s for s in SCORES if s.name in SHOWN and rivals(systems, s.name)]
    if not scores:
        return None
    names = rivals(systems, scores[0].name)
    figure, panels = new_figure(ROW * len(names) + AROUND, 1, len(scores), sharey=True)
    for axes, score in zip(panels, scores, strict=True):
        draw_rivals(axes, systems, score, names, confidence)
    panels[0].set_yticks(range(len(names)), [shortened(title(n, few_shot)) for n in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(
        f"Fine-tuned minus each system, {percent(confidence)} interval, n = {systems['n']}",
        fontsize="medium",
    )
    looks = {name: VERDICTS[name] | {"linestyle": ""} for name in ("better", "worse", "unclear")}
    band = {"color": BAND, "linewidth": 8}
    draw_legend(figure, looks | {"best on the validation cards": band})
    return figure


def draw_rivals(
    axes: "Axes",
    systems: Mapping[str, Any],
    score: Score,
    names: Sequence[str],
    confidence: float,
) -> None:
    """Draws one score's differences, with a band behind the best system without training."""
    axes.axvline(0, color="black", linewidth=0.8)
    for y, name in enumerate(names):
        key = f"{name}.{score.name}"
        if systems.get(f"{key}.difference") is None:
            continue
        if systems.get(f"best.{score.name}") == name:
            axes.axhspan(y - 0.5, y + 0.5, zorder=0, color=BAND, linewidth=0)
        look = VERDICTS[outcome_against(systems, name, score, confidence)]
        draw_interval(axes, y, systems, key, 0.0, look)
    axes.set_title(fill(score.title, TITLE_LETTERS), loc="left")
    axes.locator_params(axis="x", nbins=3)
    axes.grid(axis="y", visible=False)
