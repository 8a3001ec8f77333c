"""What the cards look like, as tables: lengths, kinds, sizes, repeated text, drops and repairs."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medtune.config.schema import SPLITS
from medtune.modeling.token_files import TOKENS, read_tokens
from medtune.runtime.files import DIGITS, read_table

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]

SPLIT = Path("data/split")
METRICS = Path("metrics")
COLUMNS = ("id", "question", "answer", "kind", "topic", "group", "source")
TEXTS = ("question", "answer")
QUANTILES = {"minimum": 0.0, "p05": 0.05, "median": 0.5, "p95": 0.95, "maximum": 1.0}
LARGEST = 100  # topics
LEAKS = ("question", "answer", "ngram13")


@dataclass
class Cards:
    """The cards of each split, and what the stages said of them where they have run."""

    splits: dict[str, pa.Table]  # of COLUMNS
    tokens: dict[str, np.ndarray] = field(default_factory=dict)  # per card: prompt, answer and end
    clean: dict[str, Any] = field(default_factory=dict)  # metrics of the stages
    split: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # what the pictures lack, and what makes it

    def words(self, text: str) -> dict[str, np.ndarray]:
        """Words of each card's question or answer, in each split."""
        return {
            split: np.array([len(cell.split()) for cell in table.column(text).to_pylist()])
            for split, table in self.splits.items()
        }

    def column(self, name: str) -> list[str]:
        return [cell for table in self.splits.values() for cell in table.column(name).to_pylist()]

    def sizes(self, name: str) -> Counter[str]:
        """Number of cards of each group or topic; cards without a topic are left out."""
        return Counter(filter(None, self.column(name)))


def read_cards() -> Cards:
    """Reads the splits; raises InputError if they are missing. Notes what else is."""
    tables = {name: read_table(SPLIT / f"{name}.parquet", "split") for name in SPLITS}
    cards = Cards({name: table.select(COLUMNS) for name, table in tables.items()})
    if all((TOKENS / f"{name}.arrow").exists() for name in SPLITS):
        for name in SPLITS:
            ids = read_tokens(TOKENS / f"{name}.arrow").column("input_ids")
            cards.tokens[name] = pc.list_value_length(ids).to_numpy()
    else:
        cards.missing.append(f"lengths in tokens: {TOKENS} is missing, dvc repro tokenize makes it")
    for stage, shows in (("clean", "drops and repairs"), ("split", "leak rates")):
        path = METRICS / f"{stage}.json"
        if path.exists():
            setattr(cards, stage, json.loads(path.read_text(encoding="utf-8")))
        else:
            cards.missing.append(f"{shows}: {path} is missing, dvc repro {stage} makes it")
    return cards


def tables(cards: Cards) -> dict[str, Table]:
    """Every table that the cards and the metrics allow, by name."""
    found = {
        "splits": split_table(cards),
        "lengths": length_table(cards),
        "kinds": kind_table(cards),
        "sizes": size_table(cards),
        "largest_topics": topic_table(cards),
        "repeated_text": repeated_table(cards),
    }
    if cards.split:
        found["leak_rates"] = ("what", "this_split", "random_split"), leak_rates(cards.split)
    for metrics, prefix, what in (
        (cards.clean, "dropped", "reason"),
        (cards.clean, "fixed", "rule"),
        (cards.clean, "personal", "kind"),
        (cards.split, "left_out", "reason"),
    ):
        if counts := counts_of(metrics, prefix):
            found[prefix] = (what, "count"), counts
    return found


def split_table(cards: Cards) -> Table:
    """What each split holds."""
    total = sum(table.num_rows for table in cards.splits.values())
    rows = [
        (
            split,
            table.num_rows,
            round(table.num_rows / max(1, total), DIGITS),
            *(len(set(table.column(name).to_pylist())) for name in ("group", "topic", "kind")),
        )
        for split, table in cards.splits.items()
    ]
    return ("split", "cards", "share", "groups", "topics", "kinds"), rows


def length_table(cards: Cards) -> Table:
    """Distribution of the lengths of questions and answers in words, of whole rows in tokens."""
    found = [(text, "words", cards.words(text)) for text in TEXTS]
    found.append(("prompt and answer", "tokens", cards.tokens))
    rows = [
        (
            *(what, unit, split, len(lengths), round(float(lengths.mean()), DIGITS)),
            *(round(float(np.quantile(lengths, q)), DIGITS) for q in QUANTILES.values()),
        )
        for what, unit, splits in found
        for split, lengths in splits.items()
        if len(lengths)
    ]
    return ("what", "unit", "split", "cards", "mean", *QUANTILES), rows


def kind_table(cards: Cards) -> Table:
    counts = kind_counts(cards)
    rows = [
        (kind, *(counts[split][kind] for split in counts))
        for kind in sorted(set(cards.column("kind")))
    ]
    return ("kind", *counts), rows


def kind_counts(cards: Cards) -> dict[str, Counter[str]]:
    """Number of cards of each kind in each split."""
    return {
        split: Counter(table.column("kind").to_pylist()) for split, table in cards.splits.items()
    }


def size_table(cards: Cards) -> Table:
    """How many groups, and how many topics, there are of each size."""
    rows = [
        (what, size, count, size * count)
        for what in ("group", "topic")
        for size, count in sorted(Counter(cards.sizes(what).values()).items())
    ]
    return ("what", "size", "count", "cards"), rows


def topic_table(cards: Cards) -> Table:
    """The largest topics, and where their cards are: all of one topic's are in one split."""
    places = dict(
        zip(
            cards.column("topic"),
            (name for name, table in cards.splits.items() for _ in range(table.num_rows)),
            strict=True,
        )
    )
    largest = sorted(cards.sizes("topic").items(), key=lambda item: (-item[1], item[0]))
    rows = [(topic, size, places[topic]) for topic, size in largest[:LARGEST]]
    return ("topic", "cards", "split"), rows


def repeated_table(cards: Cards) -> Table:
    """Questions and answers that several cards have; only case and blanks may differ."""
    rows = []
    for text in TEXTS:
        counts = Counter(" ".join(cell.casefold().split()) for cell in cards.column(text))
        several = [count for count in counts.values() if count > 1]
        rows.append((text, len(several), sum(several), max(several, default=0)))
    return ("what", "texts", "cards", "most_cards_of_one"), rows


def leak_rates(metrics: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """(what, rate of this split, rate of a random one), 0 to 1, of the test cards."""
    return [(what, metrics[f"leak.{what}"], metrics[f"leak_random_split.{what}"]) for what in LEAKS]


def counts_of(metrics: Mapping[str, Any], prefix: str) -> list[tuple[str, int]]:
    """The metrics `prefix.name` as (name, count), the largest first."""
    found: Iterable[tuple[str, int]] = (
        (key.removeprefix(f"{prefix}."), count)
        for key, count in metrics.items()
        if key.startswith(f"{prefix}.")
    )
    return sorted(found, key=lambda item: (-item[1], item[0]))
