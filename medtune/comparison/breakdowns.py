"""Compares parts of the test set, each on its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from medtune.comparison.statistics import Settings, compare_tables
from medtune.scoring.scores import SCORES, Score, scores_of

PART_SCORES = [score for score in SCORES if score.name in ("rougeL", "perplexity")]
MIN_CARDS = 5  # a topic with fewer is too small to compare
MAX_TOPICS = 20  # more would make the table hard to read
OTHER_TOPICS = "other topics"
LENGTHS = (5, 10, 20, 40)  # longest reference of each bucket, in words


def compared_all(tables: dict[str, pa.Table], settings: Settings) -> dict[str, dict[str, Any]]:
    """Returns the metrics of the whole test set and of its parts, by file name."""
    rows = tables["base"].select(["kind", "topic", "reference"]).to_pydict()
    parts = {
        "kinds": rows["kind"],
        "topics": topic_parts(rows["topic"]),
        "lengths": length_parts(rows["reference"]),
    }
    metrics = {"compare_scores": compared(tables, scores_of(tables["base"]), settings)}
    for name, part in parts.items():
        metrics[f"compare_{name}"] = compared_parts(tables, part, settings)
    return metrics


def compared(
    tables: dict[str, pa.Table], scores: Sequence[Score], settings: Settings, prefix: str = ""
) -> dict[str, Any]:
    """Returns both models' scores, flat "n", "groups", "<score>.<field>", each after `prefix`."""
    base = tables["base"]
    flat = {f"{prefix}n": base.num_rows, f"{prefix}groups": len(base.column("group").unique())}
    for name, result in compare_tables(**tables, scores=scores, settings=settings).items():
        flat |= result.flat(f"{prefix}{name}")
    return flat


def compared_parts(
    tables: dict[str, pa.Table], parts: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Returns ROUGE-L and perplexity of each part, flat "<part>.n", "<part>.rougeL.base" …

    `parts` names the part of each row; a part with one group has no interval and no p-value.
    """
    flat: dict[str, Any] = {}
    for part in sorted(set(parts)):
        rows = [number for number, name in enumerate(parts) if name == part]
        chosen = {model: table.take(rows) for model, table in tables.items()}
        flat |= compared(chosen, PART_SCORES, settings, f"{part}.")
    return flat


def topic_parts(topics: Sequence[str]) -> list[str]:
    """Returns each row's part: its topic if that is one of the largest, else "other topics"."""
    counts = sorted(Counter(topics).items(), key=lambda item: (-item[1], item[0]))
    own = {topic for topic, cards in counts[:MAX_TOPICS] if topic and cards >= MIN_CARDS}
    return [topic if topic in own else OTHER_TOPICS for topic in topics]


def length_parts(references: Sequence[str]) -> list[str]:
    """Returns each row's part by the words in its reference: "1-5 words" … "over 40 words"."""
    starts = (1, *(longest + 1 for longest in LENGTHS))
    names = [f"{start}-{longest} words" for start, longest in zip(starts, LENGTHS, strict=False)]
    names.append(f"over {LENGTHS[-1]} words")
    lengths = [len(reference.split()) for reference in references]
    return [names[sum(words > longest for longest in LENGTHS)] for words in lengths]


def part_names(flat: Mapping[str, Any]) -> list[str]:
    """Returns the parts in flat metrics by name; lengths by number, "other topics" last."""

    def order(name: str) -> tuple[bool, int, str]:
        first = name.partition("-")[0]
        return name == OTHER_TOPICS, int(first) if first.isdecimal() else 10**9, name

    return sorted((key.removesuffix(".n") for key in flat if key.endswith(".n")), key=order)
