"""Measures accuracy and calibration of a model's answers to multiple-choice questions."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medtune.scoring.choice_questions import SETS

BINS = 10


def choice_metrics(answers: pa.Table) -> dict[str, float]:
    """Returns flat "choices.<set>.n", ".accuracy" and ".ece" for each set that was asked."""
    metrics: dict[str, float] = {}
    for name, rows in sets_of(answers).items():
        metrics[f"choices.{name}.n"] = rows.num_rows
        metrics[f"choices.{name}.accuracy"] = float(_hits(rows).mean())
        metrics[f"choices.{name}.ece"] = calibration_error(rows)
    return metrics


def sets_of(answers: pa.Table) -> dict[str, pa.Table]:
    """Returns the rows of each set that has any."""
    parts = {name: answers.filter(pc.equal(answers["set"], name)) for name in SETS}
    return {name: rows for name, rows in parts.items() if rows.num_rows}


def reliability(answers: pa.Table) -> list[tuple[int, float, float]]:
    """Returns the reliability curve: each bin's answers, mean probability and accuracy.

    There are ten bins of equal width for the chosen option's probability, (0, 0.1] … (0.9, 1].
    Empty bins are left out (Guo et al. 2017, section 2).
    """
    hits, probabilities = _hits(answers), answers["probability"].to_numpy()
    bins = np.ceil(probabilities * BINS)
    return [
        (int(here.sum()), float(probabilities[here].mean()), float(hits[here].mean()))
        for here in (bins == number for number in np.unique(bins))
    ]


def calibration_error(answers: pa.Table) -> float:
    """Returns the expected calibration error, 0 to 1, lower is better (Guo et al. 2017, eq. 3).

    It averages each bin's gap between mean probability and accuracy, weighted by its answers. It
    is never negative, so chance alone raises it when there are few answers. Example: two answers of
    probability 0.9, one of them right: |0.9 - 0.5| = 0.4.
    """
    gaps = [n * abs(probability - accuracy) for n, probability, accuracy in reliability(answers)]
    return sum(gaps) / answers.num_rows


def _hits(answers: pa.Table) -> np.ndarray:
    """Returns which answers are right, bool (rows,)."""
    return pc.equal(answers["chosen"], answers["correct"]).to_numpy()
