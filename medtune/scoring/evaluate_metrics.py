"""Scores answers by any metric of the library `evaluate`, or by a metric of one's own.

The library downloads a named metric from the hub and runs its code; a folder such as
custom_metrics/overlap, with overlap.py in it, is read from the disk and needs no network.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medtune.config.schema import Metric
from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES, Score


def metric_scores(metrics: Sequence[Metric]) -> tuple[Score, ...]:
    """Returns the scores of evaluate.metrics: the mean of a column over the answers."""
    return tuple(
        Score(
            name=metric.score,
            title=metric.score.removeprefix("metrics."),
            higher_is_better=metric.higher_is_better,
            columns=(metric.score, "rows"),
            about=f"Metric {metric.name} of the library evaluate, mean over answers.",
        )
        for metric in metrics
    )


def all_scores(metrics: Sequence[Metric]) -> tuple[Score, ...]:
    """Returns the scores of this package and then those of evaluate.metrics."""
    return (*SCORES, *metric_scores(metrics))


def metric_columns(
    metrics: Sequence[Metric], predictions: Sequence[str], references: Sequence[str]
) -> dict[str, list[float]]:
    """Returns the value of each metric for each answer, by the name of its score."""
    return {
        metric.score: [
            _value(metric, module, *texts)
            for texts in zip(predictions, references, strict=True)
        ]
        for metric, module in ((metric, load(metric)) for metric in metrics)
    }  # fmt: skip


def load(metric: Metric) -> Any:
    """Loads a metric; raises InputError if its file, a package or the network is missing."""
    folder = Path(metric.name)
    if metric.is_own and not (folder / f"{folder.name}.py").is_file():
        raise InputError(
            f"evaluate.metrics: {folder / folder.name}.py is missing: write the metric there, or "
            "name one of the library evaluate"
        )
    try:
        import evaluate

        return evaluate.load(metric.name, revision=metric.revision, keep_in_memory=True, seed=0)
    except ImportError as error:
        raise InputError(
            f"evaluate.metrics: {metric.name} needs a package that is not installed: "
            f"{_one_line(error)}"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"evaluate.metrics: could not load {metric.name} ({_one_line(error)}): check the name "
            "and the network, or name a folder in custom_metrics/"
        ) from None


def _value(metric: Metric, module: Any, prediction: str, reference: str) -> float:
    try:
        results = module.compute(predictions=[prediction], references=[reference]) or {}
    except Exception as error:  # of foreign code, which may raise anything
        raise InputError(
            f"evaluate.metrics: {metric.name} cannot score the answer {prediction[:60]!r} "
            f"({type(error).__name__}: {_one_line(error)}): take it out of evaluate.metrics"
        ) from None
    numbers = {
        key: number for key, found in results.items() if (number := _number(found)) is not None
    }
    key = metric.value or (next(iter(numbers)) if len(numbers) == 1 else Path(metric.name).name)
    if key not in numbers:
        raise InputError(
            f"evaluate.metrics: {metric.name} has no value {key} for one answer, but "
            f"{', '.join(numbers) or 'no number at all'}: set `value` to one of them"
        )
    return numbers[key]


def _number(found: Any) -> float | None:
    """Returns a finite number, or that of a list with one; None for anything else."""
    if isinstance(found, list | tuple) and len(found) == 1:
        (found,) = found
    try:
        number = float(found)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".")
