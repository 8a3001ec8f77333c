from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from medtune.config.allowed_values import SPLITS
from medtune.export.card_description import (
    BINS,
    LARGEST,
    draw_bars,
    draw_lengths,
    draw_sizes,
    make_tables,
)
from tests.medtune.conftest import texts

LEAKS = ("answer", "ngram13", "question")
METRICS = {
    "dropped.duplicate": 1,
    "dropped.empty": 3,
    "fixed.html": 2,
    **{f"{prefix}.{what}": 0.25 for prefix in ("leak", "leak_random_split") for what in LEAKS},
}
ROWS = (
    ("train", "What is gout?", "Urate in joints", "definition", "gout", "g1", 10),
    ("train", "what is  Gout?", "A joint disease", "definition", "gout", "g1", 20),
    ("train", "Who?", "You", "other", "", "g2", 30),
    ("validation", "What is it?", "you", "other", "it", "g3", 5),
    ("test", "Why?", "One two three four", "definition", "why", "g4", 5),
)


def make_cards(rows: Sequence[tuple[Any, ...]] = ROWS) -> pd.DataFrame:
    names = ["split", "question", "answer", "kind", "topic", "group", "tokens"]
    cards = pd.DataFrame(rows, columns=names)
    cards["id"] = cards.index.astype(str)
    cards["split"] = pd.Categorical(cards["split"], SPLITS)
    for text in ("question", "answer"):
        cards[f"{text}_words"] = cards[text].str.split().str.len()
    return cards


def rows_of(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table.itertuples(index=False, name=None))


@pytest.mark.slow
def test_tables_hold_what_can_be_counted_by_hand() -> None:
    found = {name: rows_of(table) for name, table in make_tables(make_cards(), METRICS).items()}
    assert found["splits"][0] == ("train", 3, 0.6, 2, 2, 2)
    assert found["kinds"] == [("definition", 2, 0, 1), ("other", 1, 1, 0)]
    assert found["sizes"] == [
        ("group", 1, 3, 3),
        ("group", 2, 1, 2),
        ("topic", 1, 2, 2),
        ("topic", 2, 1, 2),
    ]
    assert found["largest_topics"] == [
        ("gout", 2, "train"),
        ("it", 1, "validation"),
        ("why", 1, "test"),
    ]
    assert found["repeated_text"] == [("question", 1, 2, 2), ("answer", 1, 2, 2)]
    assert found["leak_rates"] == [(what, 0.25, 0.25) for what in LEAKS]
    assert found["dropped"] == [("empty", 3), ("duplicate", 1)]
    assert found["fixed"] == [("html", 2)]
    words, tokens = found["lengths"][3], found["lengths"][6]
    assert words == ("answer", "words", "train", 3, 2.333333, 1, 1.2, 3, 3, 3)
    assert tokens == ("prompt and answer", "tokens", "train", 3, 20, 10, 11, 20, 29, 30)


@pytest.mark.slow
def test_what_a_stage_has_not_counted_is_left_out() -> None:
    cards = make_cards()
    known = make_tables(cards.drop(columns="tokens"), {})
    assert set(make_tables(cards, METRICS)) - set(known) == {"leak_rates", "dropped", "fixed"}
    assert len(known["lengths"]) == 6


@pytest.mark.slow
def test_only_the_largest_topics_are_listed() -> None:
    rows = [
        ("train", "Q?", "An answer", "k", f"t{n % (LARGEST + 5)}", "g", 1)
        for n in range(2 * LARGEST)
    ]
    found = rows_of(make_tables(make_cards(rows), {})["largest_topics"])
    assert len(found) == LARGEST and found[0] == ("t0", 2, "train") and found[-1][1] == 1


@pytest.mark.slow
@pytest.mark.parametrize("longest", [1, 30, 31, 5000])
def test_histograms_of_lengths_have_few_bins_and_cover_all_cards(longest: int) -> None:
    cards = make_cards([("train", "Q?", "A", "k", "t", "g", n) for n in (1, 1, longest)])
    (axes,) = draw_lengths(cards, "tokens").axes
    assert len(axes.patches) <= BINS + 1
    areas = [bar.get_height() * bar.get_width() / 0.9 for bar in axes.patches]
    assert sum(areas) == pytest.approx(1)


@pytest.mark.slow
def test_the_limit_is_a_line_unless_it_is_far_away() -> None:
    near, far = (draw_lengths(make_cards(), "tokens", limit) for limit in (32, 4096))
    assert len(near.axes[0].lines) == 2 and len(far.axes[0].lines) == 1
    assert "train: 3 cards, median 20" in texts(near) and "limit 4096" in texts(far)


@pytest.mark.slow
def test_sizes_are_points_even_where_no_card_has_a_topic() -> None:
    cards = make_cards().assign(topic="")
    groups, topics = draw_sizes(make_tables(cards, {})["sizes"]).axes
    assert groups.collections[0].get_offsets().tolist() == [[1, 3], [2, 1]]
    assert not topics.collections


@pytest.mark.slow
def test_bars_show_every_number_of_a_table() -> None:
    tables = make_tables(make_cards(), METRICS)
    (axes,) = draw_bars(tables["kinds"], "cards").axes
    assert [bar.get_width() for bar in axes.patches] == [2, 1, 0, 1, 1, 0]
    assert "definition" in texts(axes.figure) and "validation" in texts(axes.figure)
    nothing = pd.DataFrame({"rule": ["html"], "count": [0]})
    assert "html" in texts(draw_bars(nothing, "cells"))
