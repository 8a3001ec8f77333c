"""Writes the points that `dvc plots show` draws, as CSV files in plots/compare/."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import pyarrow as pa

from medtune.comparison.breakdowns import part_names
from medtune.comparison.choice_accuracy import write_reliability
from medtune.comparison.verdict import CONTENT
from medtune.report.facts import Facts
from medtune.report.systems_figure import SHOWN
from medtune.runtime.atomic_files import write_csv
from medtune.scoring.scores import ROUGE
from medtune.scoring.system_names import UNTRAINED, title
from medtune.scoring.word_splitting import written_words

PLOTS = Path("plots/compare")
BIN_WORDS = 10  # of the histogram of answer lengths; a bin is labelled with its lowest count
# All are from 0 to 1, so that they share an axis.
SHARES = (*ROUGE, *CONTENT, "stopped_rate", "repetition_rate", "unsupported_number_rate")
FOREST_COLUMNS = ("score", "system", "difference", "low", "high", "best")
QUESTION_COLUMNS = ("rank", "id", "kind", "question", "base", "finetuned", "difference")


def write_plots(pair: Mapping[str, pa.Table], facts: Facts) -> None:
    """Writes all plots; `pair` holds the answers of the base and the fine-tuned model."""
    scores, kinds = facts.metrics["compare_scores"], facts.metrics["compare_kinds"]
    shown = [name for name in SHARES if f"{name}.base" in scores]
    shares = [(name, model, scores[f"{name}.{model}"]) for name in shown for model in pair]
    write_csv(PLOTS / "scores.csv", ("score", "model", "value"), shares)
    per_kind = [(k, m, kinds[f"{k}.rougeL.{m}"]) for k in part_names(kinds) for m in pair]
    write_csv(PLOTS / "kinds.csv", ("kind", "model", "rougeL"), per_kind)
    write_csv(PLOTS / "questions.csv", QUESTION_COLUMNS, questions(facts))
    words = {model: table.column("words").to_pylist() for model, table in pair.items()}
    words["reference"] = [len(written_words(row["reference"])) for row in facts.answers]
    write_csv(PLOTS / "answer_words.csv", ("words", "model", "answers"), histogram(words))
    points = forest_points(facts.metrics["compare_systems"], facts.few_shot)
    write_csv(PLOTS / "systems.csv", FOREST_COLUMNS, points)
    write_reliability(PLOTS / "reliability.csv", facts.choices)


def questions(facts: Facts) -> list[tuple[Any, ...]]:
    """Returns the change of each test question, the worst regression first."""
    rows = []
    for rank, row in enumerate(facts.answers, start=1):
        texts = [row["id"], row["kind"], shorten(row["question"], 80, placeholder=" …")]
        values = (row["base_score"], row["finetuned_score"], row["difference"])
        rows.append((rank, *texts, *values))
    return rows


def histogram(words: dict[str, list[int]]) -> list[tuple[int, str, int]]:
    """Counts the answers per model and bin of ten words, including empty bins."""
    bins = {model: Counter(n // BIN_WORDS for n in values) for model, values in words.items()}
    last = max(max(counts) for counts in bins.values())
    return [(i * BIN_WORDS, model, bins[model][i]) for i in range(last + 1) for model in bins]


def forest_points(systems: Mapping[str, Any], few_shot: int) -> list[tuple[Any, ...]]:
    """Returns fine-tuned minus each system without training, with its interval, per score."""
    points = []
    for score in SHOWN:
        for name in UNTRAINED:
            fields = ("difference", "ci_low", "ci_high")
            values = [systems.get(f"{name}.{score}.{field}") for field in fields]
            if values[0] is not None:
                best = "best" if systems.get(f"best.{score}") == name else "other"
                points.append((score, title(name, few_shot), *values, best))
    return points
