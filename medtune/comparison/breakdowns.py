"""Compares parts of the test set, each on its own."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from medtune.comparison.confidence_intervals import Settings
from medtune.comparison.paired_scores import compare_tables
from medtune.comparison.systems import Systems, defined_scores
from medtune.scoring.scores import Score, score_table
from medtune.scoring.system_names import BASE, FINETUNED
from medtune.scoring.word_splitting import written_words

PART_SCORES = ("rougeL", "perplexity")
KIND_SCORES = ("content_f1", "facts", *PART_SCORES, "stopped_rate", "repetition_rate")
LIST_SCORES = ("list_precision", "list_recall")  # of the items that an answer lists
MIN_CARDS = 5  # a topic with fewer is too small to compare
MAX_TOPICS = 20  # more would make the table hard to read
OTHER_TOPICS = "other topics"
LENGTHS = (5, 10, 20, 40)  # longest reference of each bucket, in words


def compared_all(
    answers: Systems, best: Mapping[str, str], settings: Settings
) -> dict[str, dict[str, Any]]:
    """Returns the metrics of the whole test set and of its parts, by file name.

    They compare the fine-tuned with the base model. `best` names the best system without training
    by score; the parts have its value too.
    """
    rows = answers[BASE].select(["kind", "topic", "reference"]).to_pydict()
    pair = {name: answers[name] for name in (BASE, FINETUNED)}
    kinds, topics = rows["kind"], topic_parts(rows["topic"])
    lengths = length_parts(rows["reference"])
    return {
        "compare_scores": compared(
            pair, defined_scores(*pair.values(), scores=settings.scores), settings
        ),
        "compare_kinds": compared_parts(pair, kinds, KIND_SCORES, settings)
        | best_of_parts(answers, kinds, best, KIND_SCORES)
        | lists_of_parts(pair, kinds),
        "compare_topics": compared_parts(pair, topics, PART_SCORES, settings),
        "compare_lengths": compared_parts(pair, lengths, PART_SCORES, settings),
    }


def compared(
    tables: Systems, scores: Sequence[Score], settings: Settings, prefix: str = ""
) -> dict[str, Any]:
    """Returns both models' scores, flat "n", "groups", "<score>.<field>", each after `prefix`."""
    base = tables[BASE]
    flat = {f"{prefix}n": base.num_rows, f"{prefix}groups": len(base.column("group").unique())}
    for name, result in compare_tables(**tables, scores=scores, settings=settings).items():
        flat |= result.flat(f"{prefix}{name}")
    return flat


def compared_parts(
    tables: Systems, parts: Sequence[str], names: Sequence[str], settings: Settings
) -> dict[str, Any]:
    """Returns the named scores of each part, flat "<part>.n", "<part>.rougeL.base" …

    `parts` names the part of each row; a part with one group has no interval and no p-value.
    """
    flat: dict[str, Any] = {}
    for part, rows in rows_of_parts(parts).items():
        chosen = {model: table.take(rows) for model, table in tables.items()}
        scores = [score for score in defined_scores(*chosen.values()) if score.name in names]
        flat |= compared(chosen, scores, settings, f"{part}.")
    return flat


def best_of_parts(
    answers: Systems, parts: Sequence[str], best: Mapping[str, str], names: Sequence[str]
) -> dict[str, float]:
    """Returns "<part>.<score>.best": what the best system without training has in each part."""
    flat = {}
    for part, rows in rows_of_parts(parts).items():
        for score in names:
            values = score_table(answers[best[score]].take(rows)) if score in best else {}
            if not math.isnan(values.get(score, math.nan)):
                flat[f"{part}.{score}.best"] = values[score]
    return flat


def lists_of_parts(tables: Systems, parts: Sequence[str]) -> dict[str, float]:
    """Returns "<part>.list_recall.base" …: precision and recall of listed facts, where there are.

    They have no intervals, because they are parts of the score `facts`, which has one.
    """
    flat = {}
    for model, table in tables.items():
        for name in LIST_SCORES if "list_rows" in table.column_names else ():
            for part, rows in rows_of_parts(parts).items():
                chosen = table.take(rows)
                counted = pc.sum(chosen["list_rows"]).as_py()
                if counted:
                    flat[f"{part}.{name}.{model}"] = pc.sum(chosen[name]).as_py() / counted
    return flat


def rows_of_parts(parts: Sequence[str]) -> dict[str, list[int]]:
    """Returns the numbers of the rows of each part, by its name."""
    rows: dict[str, list[int]] = {part: [] for part in sorted(set(parts))}
    for number, part in enumerate(parts):
        rows[part].append(number)
    return rows


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
    lengths = [len(written_words(reference)) for reference in references]
    return [names[sum(words > longest for longest in LENGTHS)] for words in lengths]


def part_names(flat: Mapping[str, Any]) -> list[str]:
    """Returns the parts in flat metrics by name; lengths by number, "other topics" last."""

    def order(name: str) -> tuple[bool, int, str]:
        first = name.partition("-")[0]
        return name == OTHER_TOPICS, int(first) if first.isdecimal() else 10**9, name

    return sorted((key.removesuffix(".n") for key in flat if key.endswith(".n")), key=order)
