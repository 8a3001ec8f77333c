"""Scores answers by any metric of the library `evaluate`, or by a metric of one's own.

The library downloads a named metric from the Hugging Face Hub and runs its code; a folder such as
custom_metrics/overlap, with overlap.py in it, is read from the disk and needs no network.
"""

import difflib
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medtune.config.schema import Metric
from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES, Score

FOLDER = Path("custom_metrics")  # a dependency of the stages that score answers
OF_TEXTS = (  # metrics of the library that compare texts
    *("bertscore", "bleu", "bleurt", "cer", "character", "charcut_mt", "chrf", "comet"),
    *("exact_match", "frugalscore", "google_bleu", "meteor", "nist_mt", "rouge", "sacrebleu"),
    *("sari", "squad", "ter", "wer"),
)


def all_scores(metrics: Iterable[Any]) -> tuple[Score, ...]:
    """Returns SCORES, and then the score of each of evaluate.metrics: the mean of its column."""
    added = (
        Score(
            name=metric.score,
            title=metric.score.removeprefix("metrics."),
            higher_is_better=metric.higher_is_better,
            columns=(metric.score, "rows"),
            about=f"Metric {metric.name} of the library evaluate, mean over answers.",
        )
        for metric in map(Metric.model_validate, metrics)
    )
    return (*SCORES, *added)


class LoadedMetric:
    """A metric that is ready to score answers.

    Raises InputError if its file, a package that it needs or the network is missing.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._module = _load(metric)

    def __call__(self, prediction: str, reference: str) -> float:
        """Returns the metric's value for one answer; raises InputError if it has none."""
        name, value = self._metric.name, self._metric.value
        try:
            results = self._module.compute(predictions=[prediction], references=[reference]) or {}
        except Exception as error:  # of foreign code, which may raise anything
            raise InputError(
                f"evaluate.metrics: {name} cannot score the answer {prediction[:60]!r} "
                f"({type(error).__name__}: {_one_line(error)}): fix it, or take {name} out of "
                "evaluate.metrics"
            ) from None
        numbers = {
            key: number for key, found in results.items() if (number := _number(found)) is not None
        }
        value = value or (next(iter(numbers)) if len(numbers) == 1 else Path(name).name)
        if value not in numbers:
            raise InputError(
                f"evaluate.metrics: {name} has no value {value} for one answer, but "
                f"{', '.join(numbers) or 'no number at all'}: set `value` to one of them"
            )
        return numbers[value]


def _load(metric: Metric) -> Any:
    name, folder = metric.name, Path(metric.name)
    file = folder / f"{folder.name}.py"
    if folder.parent == FOLDER and not file.is_file():
        raise InputError(
            f"evaluate.metrics: {file} is missing: {_suggested(name)}write the metric there, or "
            "name one of the library evaluate"
        )
    if folder.parent != FOLDER and file.is_file():
        raise InputError(
            f"evaluate.metrics: {name} is a folder of this project: move it to {FOLDER}/, on which "
            f"the stages depend, and name it {FOLDER / folder.name}"
        )
    try:
        import evaluate

        return evaluate.load(name, revision=metric.revision, keep_in_memory=True, seed=0)
    except ImportError as error:
        raise InputError(
            f"evaluate.metrics: {name} needs a package that is not installed "
            f"({_one_line(error)}): install it, or take {name} out of evaluate.metrics"
        ) from None
    except FileNotFoundError:  # the library says so without a network too
        raise InputError(
            f"evaluate.metrics: {name} was not found on the Hugging Face Hub: {_suggested(name)}"
            f"check the name and the network, or name a folder in {FOLDER}/"
        ) from None
    except Exception as error:  # of foreign code, which may raise anything
        raise InputError(
            f"evaluate.metrics: {name} could not be loaded ({type(error).__name__}: "
            f"{_one_line(error)}): fix it, or take {name} out of evaluate.metrics"
        ) from None


def _suggested(name: str) -> str:
    own = sorted(file.parent.as_posix() for file in FOLDER.glob("*/*.py"))
    near = difflib.get_close_matches(name, [*OF_TEXTS, *own], n=1)
    return f"did you mean {near[0]}? Otherwise " if near and near != [name] else ""


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
