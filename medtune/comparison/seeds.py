"""Intervals that hold for other test cards and for other seeds of the training.

Two trainings that differ in their seed alone do not score the same, so the interval of one run,
which knows only the chance of the test cards, is too narrow for the method. Here the runs of
several seeds answer the same cards, and both kinds of chance are estimated together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from medtune.comparison.paired_scores import per_group
from medtune.scoring.scores import Array, Score


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, and p of the hypothesis that the true value is 0."""

    value: float
    ci_low: float
    ci_high: float
    p_value: float


def jackknife(score: Score, rows: Array, groups: Array) -> Array:
    """Returns a score of all rows, and then without each group in turn, (1 + groups,).

    `rows` are the statistics of each row, (rows, k); `groups` numbers its group from 0. Groups
    without a row that counts for the score are left out: they are no evidence.
    """
    sums = per_group(rows, groups)
    sums = sums[(sums != 0).any(axis=1)]
    total = sums.sum(axis=0)
    return score.value(np.vstack([total, total - sums]))


def estimate(values: Array, confidence: float) -> Estimate:
    """Returns the mean over seeds of what `jackknife` gives for each, (seeds, 1 + groups).

    Values may be differences of two scores, or any weighted sum of scores. The variance of the mean
    is that of a crossed design with random seeds and random groups (Owen 2007, "The pigeonhole
    bootstrap"), on the jackknife's pseudo-values: seeds plus groups less their interaction, which
    both contain. Its degrees of freedom are Satterthwaite's (1946). With one seed, the interval
    knows only the chance of the cards. With one group there is none.
    """
    value = float(values[:, 0].mean())
    variance, freedom = _variance(values)
    if not variance > 0:
        return Estimate(value, *([math.nan] * 3))
    error = math.sqrt(variance)
    reach = error * float(stdtrit(freedom, (1 + confidence) / 2))
    p_value = 2 * float(stdtr(freedom, -abs(value) / error))
    return Estimate(value, value - reach, value + reach, p_value)


def _variance(values: Array) -> tuple[float, float]:
    """Returns the variance of the mean over seeds, and its degrees of freedom."""
    seeds, groups = values.shape[0], values.shape[1] - 1
    if groups < 2:
        return math.nan, math.nan
    pseudo = groups * values[:, :1] - (groups - 1) * values[:, 1:]  # (seeds, groups)
    by_group = pseudo.mean(axis=0).var(ddof=1) / groups
    if seeds == 1:
        return float(by_group), groups - 1.0
    by_seed = values[:, 0].var(ddof=1) / seeds
    rest = pseudo - pseudo.mean(axis=0) - pseudo.mean(axis=1, keepdims=True) + pseudo.mean()
    interaction = (rest**2).sum() / ((seeds - 1) * (groups - 1)) / (seeds * groups)
    variance = max(by_seed + by_group - interaction, by_seed, by_group)
    spread = by_seed**2 / (seeds - 1) + by_group**2 / (groups - 1)
    return float(variance), float(variance**2 / spread) if spread else math.nan


def differences(
    score: Score, finetuned: Sequence[Array], other: Array | None, groups: Array
) -> Array:
    """Returns `jackknife` of each run, less that of the other system; rows of all are paired."""
    values = np.stack([jackknife(score, rows, groups) for rows in finetuned])
    return values if other is None else values - jackknife(score, other, groups)
