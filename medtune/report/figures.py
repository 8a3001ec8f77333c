"""Draws the pictures of the report and of reports/figures/ (PNG and SVG), one function for each.

To add a picture, write a function that returns a matplotlib figure and add it to PICTURES with the
section of the report that shows it. Take colours, markers and sizes from figure_style.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from medtune.comparison.breakdowns import part_names
from medtune.report.facts import Facts
from medtune.report.figure_style import (
    COLORS,
    CURVES,
    HATCHES,
    MARKS,
    MODELS,
    VERDICTS,
    draw_interval,
    draw_legend,
    drawn_in_style,
    model_looks,
    new_figure,
    save,
    shortened,
)
from medtune.report.number_formats import percent
from medtune.report.reliability_figure import reliability_figure
from medtune.report.run_facts import KindCounts
from medtune.report.score_rows import ScoreRow, against_base, compared_scores
from medtune.report.systems_figure import forest
from medtune.runtime.atomic_files import replacing
from medtune.scoring.scores import SCORES, Score
from medtune.scoring.word_splitting import written_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = Path("reports/figures")
UNITS = {
    **{"bleu": "points", "chrf": "points", "perplexity": "perplexity"},
    **{"length_ratio": "ratio", "mean_words": "words"},
}
MOST_PARTS = 25  # kinds in a picture
MOST_MARKS = 50  # markers on a curve
LENGTH_BINS = 30  # bins in a histogram, at most


@dataclass(frozen=True)
class Picture:
    """A picture for a section of the report; `draw` returns None if there is nothing to show."""

    section: str
    about: str
    draw: Callable[[Facts], "Figure | None"]


@dataclass(frozen=True)
class DrawnPicture:
    """A picture as the report embeds it: `source` is a data URL that holds the SVG."""

    section: str
    about: str
    source: str


def write_figures(facts: Facts) -> dict[str, DrawnPicture]:
    """Rewrites reports/figures/ and returns the pictures by name."""
    drawn = {}
    with replacing(FIGURES) as folder, drawn_in_style():
        folder.mkdir()
        for name, picture in PICTURES.items():
            if figure := picture.draw(facts):
                save(figure, folder, name)
                svg = base64.b64encode((folder / f"{name}.svg").read_bytes()).decode()
                source = f"data:image/svg+xml;base64,{svg}"
                drawn[name] = DrawnPicture(picture.section, picture.about, source)
    return drawn


def loss_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> "Figure | None":
    """Draws training and validation loss over optimiser steps; None without a finite loss."""
    if not any(math.isfinite(loss) for points in curves.values() for _, loss in points):
        return None
    figure, (axes,) = new_figure(3.4)
    for split, points in curves.items():
        steps, losses = zip(*points, strict=True) if points else ((), ())
        every = len(steps) // MOST_MARKS + 1
        axes.plot(steps, losses, label=split, markersize=5, markevery=every, **CURVES[split])
    axes.set(xlabel="optimiser step", ylabel="loss per answer token (nats)", xlim=(0, None))
    figure.legend(loc="outside lower center", ncols=len(curves))
    return figure


def scores(
    run: Mapping[str, Mapping[str, Any]], confidence: float, known: Sequence[Score] = SCORES
) -> "Figure":
    """Draws each score's difference with its interval; scores of the same unit share an axis.

    `run` holds compare_scores and compare_systems, with all `known` scores.
    """
    metrics, units = run["compare_scores"], dict[str, list[ScoreRow]]()
    shown = [s for s in compared_scores(metrics, known) if f"{s.name}.ci_low" in metrics]
    for row in against_base(run, confidence, shown):
        values = [metrics[f"{row.name}.{model}"] for model in ("base", "finetuned")]
        share = all(value is None or value <= 1 for value in values)
        unit = UNITS.get(row.name, "share, 0 to 1" if share else row.title)
        units.setdefault(unit, []).append(row)
    heights = [len(rows) + 2 for rows in units.values()]
    figure, panels = new_figure(0.22 * sum(heights) + 0.6, len(units), height_ratios=heights)
    for axes, (unit, rows) in zip(panels, units.items(), strict=True):
        axes.axvline(0, color="black", linewidth=0.8)
        for y, row in enumerate(rows):
            look = VERDICTS[row.verdict]
            draw_interval(axes, y, metrics, row.name, 0.0, look)
            text = f"{row.base} → {row.finetuned}"
            axes.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center_baseline")
        axes.set(xlabel=f"difference ({unit})", ylim=(len(rows) - 0.4, -0.6))
        axes.set_yticks(range(len(rows)), [shortened(row.title) for row in rows])
        axes.grid(axis="y", visible=False)
    panels[0].set_title(
        f"Fine-tuned minus base, {percent(confidence)} interval, n = {metrics['n']}", loc="left"
    )
    draw_legend(figure, {verdict: look | {"linestyle": ""} for verdict, look in VERDICTS.items()})
    return figure


def kinds(metrics: Mapping[str, Any], confidence: float) -> "Figure":
    """Draws ROUGE-L of both models for each kind of card, largest gain first."""
    sizes = {kind: metrics[f"{kind}.n"] for kind in part_names(metrics)}
    shown = sorted(sizes, key=lambda kind: -sizes[kind])[:MOST_PARTS]
    shown.sort(key=lambda kind: -metrics[f"{kind}.rougeL.difference"])
    figure, (axes,) = new_figure(0.34 * len(shown) + 1.3)
    for y, kind in enumerate(shown):
        base = metrics[f"{kind}.rougeL.base"]
        tuned = metrics[f"{kind}.rougeL.finetuned"]
        axes.plot([base, tuned], [y, y], color="#BBBBBB", linewidth=1, zorder=1)
        axes.plot(base, y, color=COLORS["base"], marker=MARKS["base"], markersize=7)
        look = {"color": COLORS["finetuned"], "marker": MARKS["finetuned"]}
        draw_interval(axes, y, metrics, f"{kind}.rougeL", base, look)
    names = [f"{shortened(kind)} (n = {sizes[kind]})" for kind in shown]
    axes.set_yticks(range(len(shown)), names)
    left_out = (
        f"; {len(sizes) - len(shown)} smaller kinds not shown" if len(sizes) > len(shown) else ""
    )
    axes.set(xlabel=f"ROUGE-L (0 to 1){left_out}", ylim=(len(shown) - 0.5, -0.5), xlim=(0, None))
    axes.grid(axis="y", visible=False)
    looks = model_looks()
    looks[f"fine-tuned, {percent(confidence)} interval of the difference"] = looks.pop("fine-tuned")
    draw_legend(figure, looks)
    return figure


def questions(answers: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the difference in ROUGE-L for each test question, worst regression first."""
    figure, (axes,) = new_figure(3.2)
    differences = [row["difference"] for row in answers]
    edges = list(range(len(answers) + 1))
    for verdict, sign in (("worse", -1), ("better", 1)):
        part = [value if value * sign > 0 else 0.0 for value in differences]
        count = sum(value * sign > 0 for value in differences)
        axes.stairs(
            part,
            edges,
            fill=True,
            facecolor=VERDICTS[verdict]["color"],
            hatch="////" if sign < 0 else "",
            hatchcolor="white",
            label=f"{count} {verdict}",
        )
    unchanged = sum(value == 0 for value in differences)
    axes.plot([], [], linestyle="", label=f"{unchanged} unchanged")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(
        xlabel="test questions, worst regression first",
        ylabel="ROUGE-L, fine-tuned minus base",
        xlim=(0, len(answers)),
    )
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def answer_words(answers: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws how long the answers and the references are, with their medians."""
    words = {model: [len(written_words(row[model])) for row in answers] for model in MODELS}
    longest = max(max(counts) for counts in words.values())
    width = longest // LENGTH_BINS + 1
    edges = range(0, longest + width + 1, width)
    figure, panels = new_figure(4.6, len(words), sharex=True, sharey=True)
    for axes, (model, counts) in zip(panels, words.items(), strict=True):
        look = {"facecolor": COLORS[model], "hatch": HATCHES[model], "hatchcolor": "white"}
        axes.hist(counts, bins=list(edges), rwidth=0.9, **look)
        middle = median(counts)
        axes.axvline(middle, color="black", linestyle="--", linewidth=1)
        axes.set_title(f"{MODELS[model]}, median {middle:g} words", loc="left")
    panels[1].set_ylabel(f"answers per {width} words" if width > 1 else "answers")
    panels[-1].set(xlabel="words per answer", xlim=(0, edges[-1]))
    return figure


def data(splits: KindCounts) -> "Figure":
    """Draws the number of cards of each kind in each split."""
    names = sorted({kind for counts in splits.values() for kind in counts})
    counts = [(kind, [split.get(kind, 0) for split in splits.values()]) for kind in names]
    counts.sort(key=lambda item: -sum(item[1]))
    shown = counts[:MOST_PARTS]
    figure, panels = new_figure(0.3 * len(shown) + 1.1, 1, len(splits), sharey=True)
    for n, (axes, split) in enumerate(zip(panels, splits, strict=True)):
        values = [numbers[n] for _, numbers in shown]
        bars = axes.barh(range(len(shown)), values, color=COLORS["finetuned"], height=0.7)
        axes.bar_label(bars, padding=2, fontsize=8)
        axes.set_title(f"{split}\n{sum(splits[split].values())} cards", loc="left")
        axes.set(xlabel="cards", xlim=(0, 1.25 * max([1, *values])))
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(shown)), [shortened(kind) for kind, _ in shown])
    panels[0].set_ylim(len(shown) - 0.5, -0.5)
    if len(counts) > len(shown):
        panels[0].set_ylabel(f"{len(counts) - len(shown)} smaller kinds not shown")
    return figure


PICTURES = {
    "systems": Picture(
        "systems",
        "The fine-tuned model against each system that needs no training",
        lambda facts: forest(facts.metrics["compare_systems"], facts.few_shot, facts.confidence),
    ),
    "scores": Picture(
        "scores",
        "Change in each score, with its confidence interval",
        lambda facts: scores(facts.metrics, facts.confidence, facts.scores),
    ),
    "data": Picture(
        "data",
        "Number of cards of each kind in each split",
        lambda facts: data(facts.splits),
    ),
    "loss": Picture(
        "training",
        "Training and validation loss over optimiser steps",
        lambda facts: loss_curves(facts.curves),
    ),
    "kinds": Picture(
        "breakdowns",
        "ROUGE-L of both models for each kind of card",
        lambda facts: kinds(facts.metrics["compare_kinds"], facts.confidence),
    ),
    "questions": Picture(
        "answers",
        "Change in ROUGE-L for each test question",
        lambda facts: questions(facts.answers),
    ),
    "answer_words": Picture(
        "answers",
        "Length of the answers and of the reference answers",
        lambda facts: answer_words(facts.answers),
    ),
    "reliability": Picture(
        "forgetting",
        "How often an answer is right, by the probability that the model gives it",
        lambda facts: reliability_figure(facts.choices, facts.confidence),
    ),
}
