"""Tables for papers and slides, as CSV in reports/tables/, and what they share with the pictures.

Unlike the data of DVC's plots they keep every text as it is, save for an apostrophe before what a
spreadsheet would run as a formula.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from medtune.comparison.breakdowns import extremes, part_names
from medtune.comparison.statistics import Comparison
from medtune.report.score_rows import Facts
from medtune.runtime.files import DIGITS, inert, read_table, replacing
from medtune.scoring.scores import SCORES, Score

TABLES = Path("reports/tables")
SPLITS = {name: Path(f"data/split/{name}.parquet") for name in ("train", "validation", "test")}
PARTS = ("kinds", "topics", "lengths")  # of the test set, each in metrics/compare_<part>.json
FIELDS = tuple(field.name for field in fields(Comparison))

Table = tuple[Sequence[str], Iterable[Sequence[Any]]]
KindCounts = Mapping[str, Mapping[str, int]]


def read_splits() -> KindCounts:
    """Number of cards of each kind in each split."""
    return {
        split: Counter(read_table(path, "split").column("kind").to_pylist())
        for split, path in SPLITS.items()
    }


def write_tables(facts: Facts, splits: KindCounts) -> None:
    """Writes reports/tables/ anew: what is there and no longer written goes."""
    tables = {
        "scores": score_table(facts.metrics["compare"]),
        **{
            part: part_table(facts.metrics[f"compare_{part}"])
            for part in PARTS
            if f"compare_{part}" in facts.metrics
        },
        "questions": question_table(facts.answers),
        "extremes": extreme_table(facts.answers),
        "curves": (("split", "step", "loss"), curve_rows(facts.curves)),
        "data": (("kind", *splits), [(kind, *counts) for kind, counts in kind_counts(splits)]),
    }
    with replacing(TABLES) as folder:
        folder.mkdir()
        for name, (columns, rows) in tables.items():
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                for row in rows:
                    writer.writerow(
                        [inert(cell) if isinstance(cell, str) else cell for cell in row]
                    )


def score_table(metrics: Mapping[str, Any]) -> Table:
    """All scores of both models with their difference, interval, p-value and outcomes."""
    scores = compared_scores(metrics)
    rows = [(score.name, score.title, *_fields(metrics, score.name)) for score in scores]
    return ("score", "title", *FIELDS), rows


def part_table(metrics: Mapping[str, Any]) -> Table:
    """The scores of each part of the test set, one row per part and score."""
    rows = []
    for part in part_names(metrics):
        size = (metrics[f"{part}.n"], metrics[f"{part}.groups"])
        for score in SCORES:
            if f"{part}.{score.name}.difference" in metrics:
                rows.append((part, *size, score.name, *_fields(metrics, f"{part}.{score.name}")))
    return ("part", "n", "groups", "score", *FIELDS), rows


def question_table(answers: Sequence[Mapping[str, Any]]) -> Table:
    """Every test question with both answers and their ROUGE-L, worst regression first."""
    texts = ("id", "kind", "question", "reference", "base", "finetuned")
    scores = ("base_score", "finetuned_score", "difference")
    rows = [
        (rank, *(row[name] for name in texts), *(round(row[name], DIGITS) for name in scores))
        for rank, row in enumerate(answers, start=1)
    ]
    return ("rank", *texts, "base_rougeL", "finetuned_rougeL", "difference"), rows


def extreme_table(answers: Sequence[dict[str, Any]]) -> Table:
    """The largest gains and the worst regressions, the most extreme first."""
    columns, questions = question_table(answers)
    by_id = {row["id"]: cells for row, cells in zip(answers, questions, strict=True)}
    changes = zip(("gain", "regression"), extremes(answers), strict=True)
    chosen = [(change, *by_id[row["id"]]) for change, rows in changes for row in rows]
    return ("change", *columns), chosen


def curve_rows(
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> Iterator[tuple[str, int, float]]:
    for split, points in curves.items():
        yield from ((split, round(step), loss) for step, loss in points)


def kind_counts(splits: KindCounts) -> list[tuple[str, list[int]]]:
    """The number of cards in each split, by kind."""
    kinds = sorted({kind for counts in splits.values() for kind in counts})
    return [(kind, [counts.get(kind, 0) for counts in splits.values()]) for kind in kinds]


def compared_scores(metrics: Mapping[str, Any]) -> list[Score]:
    """Every score that was compared, those of medtune.scoring.scores first.

    Of the others, accuracies and calibration errors (ece) of multiple choice, only the name, a
    title and the better side are known.
    """
    found = {key.removesuffix(".difference") for key in metrics if key.endswith(".difference")}
    known = [score for score in SCORES if score.name in found]
    others = sorted(found - {score.name for score in known})
    return known + [
        Score(
            name=name,
            title=name.replace(".", " "),
            higher_is_better=not name.endswith(".ece"),
            columns=(),
        )
        for name in others
    ]


def _fields(metrics: Mapping[str, Any], name: str) -> list[Any]:
    return [metrics.get(f"{name}.{field}") for field in FIELDS]
