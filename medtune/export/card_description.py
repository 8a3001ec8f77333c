"""Describes the cards in tables and figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from medtune.report.figure_style import drawn_in_style, new_figure, save
from medtune.runtime.atomic_files import DIGITS

# The lengths of each card and their units. Token counts exist once tokenize has run.
LENGTHS = {
    "question_words": ("question", "words"),
    "answer_words": ("answer", "words"),
    "tokens": ("prompt and answer", "tokens"),
}
QUANTILES = {"min": "minimum", "5%": "p05", "50%": "median", "95%": "p95", "max": "maximum"}
COUNTS = {"dropped": "reason", "fixed": "rule", "personal": "kind", "left_out": "reason"}
LARGEST = 100  # topics
BINS = 30
SHOWN = 0.995  # the axis ends at this quantile of the lengths
# The tables that become bar charts, and what their bars count.
BARS = {
    "kinds": "cards",
    "repeated_text": "texts that several cards share, their cards, cards with the most common text",
    "leak_rates": "share of the test cards whose text is in train",
    "dropped": "rows",
    "fixed": "cells",
    "personal": "finds",
    "left_out": "cards",
}


def make_tables(cards: pd.DataFrame, metrics: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Returns every table that the cards and the metrics of clean and split allow, by name.

    `cards` has a row per card of all splits: its texts, `split` (a category) and LENGTHS.
    """
    tables = {
        "splits": _splits(cards),
        "lengths": _lengths(cards),
        "kinds": cards.groupby(["kind", "split"], observed=False).size().unstack().reset_index(),
        "sizes": _sizes(cards),
        "largest_topics": _largest_topics(cards),
        "repeated_text": _repeated_text(cards),
    }
    if leaks := _named(metrics, "leak"):
        rates = {"this_split": leaks, "random_split": _named(metrics, "leak_random_split")}
        tables["leak_rates"] = pd.DataFrame(rates).rename_axis("what").reset_index()
    for prefix, what in COUNTS.items():
        if counts := _named(metrics, prefix):
            table = pd.DataFrame(counts.items(), columns=[what, "count"])
            tables[prefix] = table.sort_values("count", ascending=False, kind="stable")
    return {name: table.round(DIGITS) for name, table in tables.items()}


def draw_figures(
    folder: Path, cards: pd.DataFrame, tables: Mapping[str, pd.DataFrame], max_length_tokens: int
) -> None:
    """Writes the lengths as histograms, the sizes as points and the other tables as bars."""
    with drawn_in_style():
        for name in LENGTHS.keys() & set(cards):
            limit = max_length_tokens if name == "tokens" else None
            save(draw_lengths(cards, name, limit), folder, name)
        save(draw_sizes(tables["sizes"]), folder, "sizes")
        for name in BARS.keys() & tables.keys():
            save(draw_bars(tables[name], BARS[name]), folder, name)


def draw_lengths(cards: pd.DataFrame, name: str, limit: int | None = None) -> Any:
    """Draws one histogram per split; the dashed line is the median, the solid one the limit."""
    what, unit = LENGTHS[name]
    lengths = cards[name].groupby(cards["split"], observed=True)
    top = int(cards[name].quantile(SHOWN))
    width = top // BINS + 1
    figure, panels = new_figure(1.5 * len(lengths) + 0.3, len(lengths), sharex=True, sharey=True)
    for axes, (split, found) in zip(panels, lengths, strict=True):
        bins = range(0, top + width + 1, width)
        axes.hist(found.clip(upper=top), bins=bins, density=True, rwidth=0.9)
        axes.axvline(found.median(), color="black", linestyle="--")
        if limit is not None and limit <= 4 * top:
            axes.axvline(limit, color="#D55E00")
        axes.set_title(f"{split}: {len(found)} cards, median {found.median():g}", loc="left")
        axes.set_ylabel(f"share per {unit.removesuffix('s')}")
    at_limit = f", limit {limit}" if limit else ""
    panels[-1].set_xlabel(f"{unit} of the {what}{at_limit}; the last bar holds all above {top}")
    return figure


def draw_sizes(sizes: pd.DataFrame) -> Any:
    """Draws how many groups and topics have each number of cards."""
    figure, panels = new_figure(3, 1, 2, sharey=True)
    for axes, what in zip(panels, ("group", "topic"), strict=True):
        found = sizes[sizes["what"] == what]
        if len(found):
            found.plot.scatter("size", "count", ax=axes, loglog=True)
        axes.set(xlabel=f"cards per {what}", ylabel=f"number of {what}s")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    return figure


def draw_bars(table: pd.DataFrame, unit: str) -> Any:
    """Draws the numbers of a table as bars, one group per row, named by the first column."""
    numbers = table.set_index(table.columns[0])
    figure, (axes,) = new_figure(0.25 * numbers.size + 1)
    numbers.plot.barh(ax=axes, ylabel="", legend=False)
    axes.set_xlabel(unit)
    axes.set_xlim(left=0)
    axes.invert_yaxis()
    if len(numbers.columns) > 1:
        figure.legend(loc="outside lower center", ncols=len(numbers.columns))
    for bars in axes.containers:
        axes.bar_label(bars, padding=2, fontsize=8)
    return figure


def _named(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Returns the metrics `prefix.name`, by name and sorted."""
    names = sorted(name for name in metrics if name.startswith(f"{prefix}."))
    return {name.removeprefix(f"{prefix}."): metrics[name] for name in names}


def _splits(cards: pd.DataFrame) -> pd.DataFrame:
    table = cards.groupby("split", observed=False).agg(
        cards=("id", "size"),
        groups=("group", "nunique"),
        topics=("topic", "nunique"),
        kinds=("kind", "nunique"),
    )
    table.insert(1, "share", table["cards"] / max(1, len(cards)))
    return table.reset_index()


def _lengths(cards: pd.DataFrame) -> pd.DataFrame:
    """Returns the distribution of each length in each split that has cards."""
    by_split = cards.groupby("split", observed=True)
    described = {
        what: by_split[name].describe(percentiles=[0.05, 0.5, 0.95])
        for name, what in LENGTHS.items()
        if name in cards
    }
    table = pd.concat(described, names=["what", "unit"]).reset_index()
    table = table.rename(columns={"count": "cards", **QUANTILES}).drop(columns="std")
    return table.astype({"cards": int})


def _sizes(cards: pd.DataFrame) -> pd.DataFrame:
    """Returns how many groups and topics there are of each size; the topic "" is none."""
    sizes = {what: cards[what][cards[what] != ""].value_counts() for what in ("group", "topic")}
    counts = {what: found.value_counts().sort_index() for what, found in sizes.items()}
    table = pd.concat(counts, names=["what", "size"]).rename("count").reset_index()
    return table.assign(cards=table["size"] * table["count"])


def _largest_topics(cards: pd.DataFrame) -> pd.DataFrame:
    topics = cards[cards["topic"] != ""].groupby("topic")
    table = topics.agg(cards=("id", "size"), split=("split", "first"))
    table = table.sort_values("cards", ascending=False, kind="stable")
    return table.head(LARGEST).reset_index()


def _repeated_text(cards: pd.DataFrame) -> pd.DataFrame:
    """Counts the questions and answers that several cards share, up to case and spaces."""
    rows = []
    for what in ("question", "answer"):
        counts = cards[what].str.casefold().str.split().str.join(" ").value_counts()
        several = counts[counts > 1]
        rows.append((what, len(several), several.sum(), several.max() if len(several) else 0))
    return pd.DataFrame(rows, columns=["what", "texts", "cards", "most_cards_of_one"])
