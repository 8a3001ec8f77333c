"""Pictures of the cards: lengths, kinds, sizes, shared text, what was dropped and repaired."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medtune.export.tables import Cards, counts_of, kind_counts, leak_rates, repeated_table
from medtune.report.figure_style import (
    COLORS,
    HATCHES,
    draw_legend,
    drawn_in_style,
    new_figure,
    save,
)
from medtune.report.figures import data as kinds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH_BINS = 30  # at most
SHOWN = 0.995  # quantile of the lengths up to which the axis reaches
LEAK_NAMES = {"question": "same question", "answer": "same answer", "ngram13": "half of 13-grams"}
LIMIT_COLOR = "#D55E00"


def write_figures(folder: Path, cards: Cards, max_length_tokens: int) -> None:
    """Writes every picture that the cards and the metrics allow, as PNG and SVG."""
    draw: dict[str, Callable[[], Figure]] = {
        "question_words": lambda: lengths(cards.words("question"), "words per question"),
        "answer_words": lambda: lengths(cards.words("answer"), "words per answer"),
        "kinds": lambda: kinds(kind_counts(cards)),
        "sizes": lambda: sizes(cards),
    }
    if cards.tokens:
        draw["tokens"] = lambda: lengths(
            cards.tokens, "tokens per card, prompt and answer", max_length_tokens
        )
    if cards.split:
        draw["shared_text"] = lambda: shared_text(cards)
    if cards.clean:
        came = f"rows dropped of {cards.clean['records_in']}"
        dropped, fixed = (dict(counts_of(cards.clean, name)) for name in ("dropped", "fixed"))
        cells = ("cells repaired, by rule", "questions and answers", fixed)
        draw["cleaning"] = lambda: counted([(came, "rows", dropped), cells])
    if left_out := dict(counts_of(cards.split, "left_out")):
        draw["left_out"] = lambda: counted([("cards in no split, by reason", "cards", left_out)])
    folder.mkdir()
    with drawn_in_style():
        for name, figure in draw.items():
            save(figure(), folder, name)


def lengths(splits: Mapping[str, np.ndarray], label: str, limit: int | None = None) -> "Figure":
    """Distribution of a length in each split, as shares; `limit` is where answers are cut."""
    together = np.concatenate(list(splits.values()))
    top = int(np.quantile(together, SHOWN))
    limit_fits = limit is not None and limit <= 4 * top
    top = max(top, limit or 0) if limit_fits else top
    width = top // LENGTH_BINS + 1
    edges = np.arange(0, top + width + 1, width)
    figure, panels = new_figure(1.5 * len(splits) + 0.5, len(splits), sharex=True, sharey=True)
    for axes, (split, values) in zip(panels, splits.items(), strict=True):
        shares = np.full(len(values), 100 / max(1, len(values)))
        shown = np.minimum(values, edges[-1] - 1)
        axes.hist(shown, bins=edges, weights=shares, rwidth=0.9, facecolor=COLORS["finetuned"])
        middle = float(np.median(values))
        axes.axvline(middle, color="black", linestyle="--", linewidth=1)
        if limit_fits:
            axes.axvline(limit, color=LIMIT_COLOR, linewidth=1.5)
        axes.set_title(f"{split}, {len(values)} cards, median {middle:g}", loc="left")
    beyond = int((together >= edges[-1]).sum())
    unit = label.split()[0]
    per = f"{width} {unit}" if width > 1 else unit.removesuffix("s")
    panels[len(panels) // 2].set_ylabel(f"% of the cards, per {per}")
    more = f"; {beyond} longer ones in the last bar" if beyond else ""
    panels[-1].set(xlabel=f"{label}{more}", xlim=(0, edges[-1]))
    panels[-1].locator_params(axis="x", integer=True)
    looks: dict[str, Any] = {"median": {"color": "black", "linestyle": "--", "linewidth": 1}}
    if limit:
        name = f"tokenize.max_length_tokens = {limit}{'' if limit_fits else ', beyond the axis'}"
        looks[name] = {"color": LIMIT_COLOR, "linewidth": 1.5}
    draw_legend(figure, looks)
    return figure


def sizes(cards: Cards) -> "Figure":
    """How many groups and topics there are of 1, of 2 to 3, of 4 to 7 … cards."""
    figure, panels = new_figure(3.4, 1, 2, sharey=True)
    for axes, what in zip(panels, ("group", "topic"), strict=True):
        found = cards.sizes(what).values()
        counts = Counter(size.bit_length() - 1 for size in found)
        powers = range(max(counts, default=0) + 1)
        bars = axes.bar(powers, [counts[n] for n in powers], color=COLORS["finetuned"])
        axes.bar_label(bars, padding=2, fontsize=8)
        axes.set_xticks(powers, [str(2**n) for n in powers], rotation=90)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.set_ylim(0.7, 3 * max([1, *counts.values()]))
        axes.set_title(f"{len(found)} {what}s, largest {max(found, default=0)} cards", loc="left")
        axes.set_xlabel(f"cards per {what}, from … to below the next")
        axes.grid(axis="x", visible=False)
    panels[0].set_ylabel("number (logarithmic)")
    return figure


def shared_text(cards: Cards) -> "Figure":
    """Test cards whose text stands in train, here and in a random split; text of several cards."""
    rates = leak_rates(cards.split)
    figure, (left, right) = new_figure(2.9, 1, 2)
    looks = {
        "this split": {"color": COLORS["finetuned"], "hatch": HATCHES["finetuned"]},
        "random split": {"color": COLORS["base"], "hatch": HATCHES["base"], "hatchcolor": "white"},
    }
    for number, (name, look) in enumerate(looks.items()):
        values = [100 * row[1 + number] for row in rates]
        places = np.arange(len(rates)) + 0.4 * (number - 0.5)
        bars = left.barh(places, values, height=0.38, label=name, **look)
        left.bar_label(bars, [f"{value:.3g}" for value in values], padding=2, fontsize=8)
    left.set_yticks(range(len(rates)), [LEAK_NAMES[row[0]] for row in rates])
    left.set(xlabel="% of the test cards", ylim=(len(rates) - 0.5, -0.5))
    left.set_xlim(0, 1.25 * max(1.0, *(100 * rate for row in rates for rate in row[1:])))
    left.set_title("test text that stands in train", loc="left")
    counts = {"dropped as copies": cards.clean.get("dropped.duplicate", 0)}
    counts |= {f"same {what}, kept": shared for what, _, shared, _ in repeated_table(cards)[1]}
    _draw_counts(right, counts)
    right.set(xlabel="cards")
    right.set_title("cards that share their text", loc="left")
    left.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def counted(panels: Sequence[tuple[str, str, Mapping[str, int]]]) -> "Figure":
    """Counts by name; each panel is (title, unit, counts)."""
    longest = max(len(counts) for _, _, counts in panels)
    figure, places = new_figure(0.22 * longest + 1.2, 1, len(panels))
    for axes, (title, unit, counts) in zip(places, panels, strict=True):
        _draw_counts(axes, {name.replace("_", " "): count for name, count in counts.items()})
        axes.set_title(title, loc="left")
        axes.set_xlabel(unit)
    return figure


def _draw_counts(axes: Any, counts: Mapping[str, int]) -> None:
    bars = axes.barh(range(len(counts)), list(counts.values()), color=COLORS["finetuned"])
    axes.bar_label(bars, padding=2, fontsize=8)
    axes.set_yticks(range(len(counts)), list(counts))
    axes.set(ylim=(len(counts) - 0.5, -0.5), xlim=(0, 1.25 * max([1, *counts.values()])))
    axes.locator_params(axis="x", integer=True, nbins=5)
    axes.grid(axis="y", visible=False)
