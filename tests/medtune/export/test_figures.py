from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from medtune.export.figures import LENGTH_BINS, counted, lengths, shared_text, sizes
from medtune.export.tables import COLUMNS, Cards


def table(topics: list[str]) -> pa.Table:
    columns = {name: ["same text"] * len(topics) for name in COLUMNS}
    return pa.table(columns | {"topic": topics, "group": [topic or "g" for topic in topics]})


def texts(picture: Any) -> str:
    from matplotlib.text import Text

    picture.draw_without_rendering()
    return "\n".join(text.get_text() for text in picture.findobj(Text))


def splits(*values: int) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name in ("train", "validation", "test")}


def heights(axes: Any) -> list[float]:
    return [bar.get_height() for bar in axes.patches]


@pytest.mark.parametrize("longest", [1, 30, 31, 5000])
def test_lengths_are_shares_in_at_most_thirty_bins(longest: int) -> None:
    figure = lengths(splits(1, longest), "words per answer")
    for axes in figure.axes:
        assert len(heights(axes)) <= LENGTH_BINS + 1
        assert sum(heights(axes)) == pytest.approx(100)
    assert "% of the cards, per " in texts(figure) and "words per answer" in texts(figure)


def test_the_few_longest_share_the_last_bar_and_are_counted() -> None:
    figure = lengths(splits(*[5] * 999, 400), "words per answer")
    assert "3 longer ones in the last bar" in texts(figure)
    assert figure.axes[0].get_xlim()[1] < 10 and sum(heights(figure.axes[0])) == pytest.approx(100)
    assert "per word\n" in texts(figure) + "\n"


def test_the_limit_is_a_line_unless_it_is_far_away() -> None:
    near, far = (lengths(splits(20, 60), "tokens per card", limit) for limit in (192, 4096))
    assert len(near.axes[0].lines) == 2 and len(far.axes[0].lines) == 1
    assert "max_length_tokens = 192\n" in texts(near) + "\n"
    assert "max_length_tokens = 4096, beyond the axis" in texts(far)


def test_sizes_are_counted_in_powers_of_two() -> None:
    topics = ["a", "b", "c", "c", "d", "d", "d", *"e" * 4, ""]
    figure = sizes(Cards({"train": table(topics)}))
    groups, of_topics = figure.axes
    assert heights(groups) == [3, 2, 1] and heights(of_topics) == [2, 2, 1]
    assert "5 topics, largest 4 cards" in texts(figure) and "6 groups" in texts(figure)
    assert [label.get_text() for label in groups.get_xticklabels()] == ["1", "2", "4"]
    assert "$" not in texts(figure), "no formula stays unset"


def test_shared_text_shows_both_splits_and_repeated_text() -> None:
    rates = {f"leak.{what}": 0.0 for what in ("question", "answer", "ngram13")}
    rates |= {f"leak_random_split.{what}": 0.2 for what in ("question", "answer", "ngram13")}
    cards = Cards({"train": table(["a", "b"])}, clean={"dropped.duplicate": 7}, split=rates)
    left, right = shared_text(cards).axes
    assert [bar.get_width() for bar in left.patches] == [0, 0, 0, 20, 20, 20]
    assert [bar.get_width() for bar in right.patches] == [7, 2, 2]


def test_counts_of_nothing_still_make_a_picture() -> None:
    figure = counted([("dropped", "rows", {"not_text": 0}), ("repaired", "cells", {})])
    assert "not text" in texts(figure) and "rows" in texts(figure)
