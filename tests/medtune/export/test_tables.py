from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from medtune.export.tables import COLUMNS, LARGEST, Cards, tables

LEAKS = ("question", "answer", "ngram13")


def split(rows: Sequence[tuple[str, str, str, str, str]]) -> pa.Table:
    """Rows are (question, answer, kind, topic, group)."""
    cards = [(f"id{n}", *row, "mine.csv") for n, row in enumerate(rows)]
    return pa.table(dict(zip(COLUMNS, map(list, zip(*cards, strict=True)), strict=True)))


@pytest.fixture
def cards() -> Cards:
    return Cards(
        {
            "train": split(
                [
                    ("What is gout?", "Urate in joints", "definition", "gout", "g1"),
                    ("what is  Gout?", "A joint disease", "definition", "gout", "g1"),
                    ("Who?", "You", "other", "", "g2"),
                ]
            ),
            "validation": split([("What is it?", "you", "other", "it", "g3")]),
            "test": split([("Why?", "One two three four", "definition", "why", "g4")]),
        },
        tokens={"train": np.array([10, 20, 30])},
        clean={"records_in": 9, "dropped.duplicate": 1, "dropped.empty": 3, "fixed.html": 2},
        split={
            f"{prefix}.{what}": 0.25 for prefix in ("leak", "leak_random_split") for what in LEAKS
        },
    )


def test_tables_hold_what_can_be_counted_by_hand(cards: Cards) -> None:
    found = {name: list(rows) for name, (_, rows) in tables(cards).items()}
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
    words, tokens = found["lengths"][3], found["lengths"][-1]
    assert words == ("answer", "words", "train", 3, 2.333333, 1, 1.2, 3, 3, 3)
    assert tokens == ("prompt and answer", "tokens", "train", 3, 20, 10, 11, 20, 29, 30)


def test_every_row_fits_its_header(cards: Cards) -> None:
    for name, (columns, rows) in tables(cards).items():
        assert rows and all(len(row) == len(columns) for row in rows), name


def test_what_a_stage_has_not_said_is_left_out(cards: Cards) -> None:
    full = set(tables(cards))
    assert full - set(tables(Cards(cards.splits))) == {"leak_rates", "dropped", "fixed"}


def test_only_the_largest_topics_are_listed(cards: Cards) -> None:
    rows = [("Q?", "An answer", "k", f"t{n % (LARGEST + 5)}", "g") for n in range(2 * LARGEST)]
    _, found = tables(Cards({"train": split(rows)}))["largest_topics"]
    assert len(found) == LARGEST and found[0] == ("t0", 2, "train") and found[-1][1] == 1
