"""Confidence intervals of the difference between two models, by bootstrap over groups.

Rows of one group (near-duplicates, one topic) are not independent evidence, so whole groups are
resampled, never single rows.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from scipy.special import ndtri, stdtrit
from scipy.stats import DegenerateDataWarning

from medtune.scoring.scores import SCORES, Array, Score

CELLS_AT_ONCE = 2_000_000  # of (resamples, groups); bounds the memory to about 50 MB


@dataclass(frozen=True)
class Settings:
    """The number of resamples, the confidence of the intervals (0 to 1), a seed, and the scores."""

    resamples: int
    confidence: float
    seed: int
    scores: Sequence[Score] = SCORES


@dataclass(frozen=True)
class Sums:
    """Statistics of one score summed per group, (groups, k), for each model."""

    score: Score
    base: Array
    finetuned: Array

    def difference(self, base: Array, finetuned: Array) -> Array:
        return self.score.value(finetuned) - self.score.value(base)

    @property
    def counted(self) -> Array:
        """Whether each group, (groups,), has a row that counts for the score."""
        return (self.base != 0).any(axis=1) | (self.finetuned != 0).any(axis=1)

    def only(self, groups: Array) -> "Sums":
        return Sums(self.score, self.base[groups], self.finetuned[groups])


def intervals(sums: Sequence[Sums], drawn: Array, confidence: float) -> tuple[Array, Array]:
    """Returns lower and upper ends, (scores,), from bootstrapped differences, (scores, resamples).

    Percentiles alone are too narrow with few or uneven groups (Hesterberg 2015, arXiv 1411.5279).
    So they keep their shape and are stretched about the observed difference, by the ratio of
    Student's quantile to the normal one and of the jackknife's standard error over groups to the
    bootstrap's.
    """
    groups, tail = len(sums[0].base), (1 - confidence) / 2
    totals = [(s.base.sum(axis=0), s.finetuned.sum(axis=0)) for s in sums]
    observed = np.array([s.difference(*total) for s, total in zip(sums, totals, strict=True)])
    without_group = np.array(  # (scores, groups)
        [
            s.difference(base - s.base, finetuned - s.finetuned)
            for s, (base, finetuned) in zip(sums, totals, strict=True)
        ]
    )
    influence = (without_group - observed[:, None]) ** 2
    error = np.sqrt(influence.sum(axis=1) * (groups - 1) / groups)
    spread = drawn.std(axis=1)
    stretch = np.divide(error, spread, out=np.ones_like(error), where=spread > 0)
    stretch *= stdtrit(degrees_of_freedom(influence), tail) / ndtri(tail)
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=1)
    return observed + stretch * (low - observed), observed + stretch * (high - observed)


def degrees_of_freedom(influence: Array) -> Array:
    """Returns those of a standard error, (scores,), from each group's part of its square.

    `influence` is (scores, groups). Even groups have groups - 1. If few groups hold most of the
    variance, their number counts (Satterthwaite 1946, with the normal distribution's kurtosis).
    """
    most = influence.shape[1] - 1
    total, squares = influence.sum(axis=1), (influence**2).sum(axis=1)
    ratio = np.divide(total**2, squares, out=np.full_like(total, np.inf), where=squares > 0)
    return np.minimum(most, 3 * ratio - 1)


def bootstrap(sums: Sequence[Sums], settings: Settings) -> Array:
    """Returns the differences when groups are resampled with replacement, (scores, resamples)."""
    groups = len(sums[0].base)

    def differences(picked: Array, axis: int) -> Array:
        shifted = picked + groups * np.arange(len(picked))[:, None]
        weights = np.bincount(shifted.ravel(), minlength=picked.size).reshape(picked.shape)
        weights = weights.astype(np.float64)  # (draws, groups): how often each group was picked
        return np.stack([s.difference(weights @ s.base, weights @ s.finetuned) for s in sums])

    with warnings.catch_warnings():
        # scipy warns about its own interval, which is not used, if a score is undefined.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = scipy.stats.bootstrap(
            (np.arange(groups),),
            differences,
            n_resamples=settings.resamples,
            batch=max(1, CELLS_AT_ONCE // groups),
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng([settings.seed, 0]),
        )
    return result.bootstrap_distribution
