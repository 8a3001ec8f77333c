"""When a difference counts: p-values by permutation, Holm's correction, one rule for verdicts.

Which p-values are corrected together is decided by `evidence_of` in verdict.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import scipy.stats

from medtune.comparison.confidence_intervals import CELLS_AT_ONCE, Settings, Sums
from medtune.scoring.scores import Array

Outcome = Literal["better", "worse", "changed", "unclear"]

FEW_EFFECTIVE_GROUPS = 10  # with fewer, the coverage of a 95 % interval can fall below 93 %
TOLERANCE = 1e-9  # relative; values that differ only by rounding are equal
ROUNDING = 1e-9  # 1 - 0.9 is a little less than 0.1


def outcome(
    low: float | None, high: float | None, p_value: float | None, better: int, confidence: float
) -> Outcome:
    """Returns what a difference with this interval and p-value means.

    It counts only if the interval leaves out 0 and p is at most 1 - confidence, because the two
    come from different resamples and can disagree. Undefined values, None or NaN, never count.
    `better` is Score.better; without a better side a difference that counts is "changed".
    """
    if low is None or high is None or p_value is None:
        return "unclear"
    excludes_zero, small = low > 0 or high < 0, p_value <= 1 - confidence + ROUNDING
    if not (excludes_zero and small):
        return "unclear"
    if better == 0:
        return "changed"
    return "better" if low * better > 0 else "worse"


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for their number (Holm 1979), in the same order.

    Each at most 0.05 means: with a chance of 95 %, no difference among them is a false find.
    NaN stays NaN and is not counted.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    values = np.array(p_values, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    order = [int(i) for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[i]))
        adjusted[i] = highest
    return adjusted.tolist()


def fewest_groups(confidence: float) -> int:
    """Returns how many groups a p-value of at most 1 - confidence needs.

    G groups can be swapped in 2^G ways, two of which differ at least as much as the observed one.

    >>> fewest_groups(0.95)
    6
    """
    return math.ceil(1 - math.log2(1 - confidence) - ROUNDING)


def too_few_groups(groups: int, confidence: float) -> bool:
    """Whether no difference between so few groups can ever count."""
    return groups < fewest_groups(confidence)


def effective_groups(groups: Iterable[str]) -> float:
    """Returns how many even groups are worth as much as these (Kish 1965), from each row's group.

    >>> effective_groups("aabb"), effective_groups("aaab")
    (2.0, 1.6)
    """
    sizes = Counter(groups).values()
    return sum(sizes) ** 2 / sum(size**2 for size in sizes) if sizes else 0.0


def too_uneven(groups: Iterable[str]) -> bool:
    """Whether a few groups hold so many of the rows that intervals may be too narrow."""
    groups = list(groups)
    effective = effective_groups(groups)
    return effective < FEW_EFFECTIVE_GROUPS and effective < len(set(groups)) / 2


def permutation(sums: Sequence[Sums], settings: Settings) -> Array:
    """Returns two-sided p-values, (scores,): how often swapped models differ at least as much.

    Base and fine-tuned are swapped in whole groups, in every possible way if there are at most
    `resamples` ways. Otherwise swaps are drawn at random, and k of B draws give (k + 1) / (B + 1),
    which is never 0 (Phipson and Smyth 2010).
    """
    groups = len(sums[0].base)
    totals = [(s.base.sum(axis=0), s.finetuned.sum(axis=0)) for s in sums]
    observed = np.array([s.difference(*total) for s, total in zip(sums, totals, strict=True)])
    threshold = np.abs(observed) * (1 - TOLERANCE)

    def as_far(first: Array, second: Array, axis: int) -> Array:
        swapped = (first >= groups).astype(np.float64)  # (draws, groups), or (groups,)
        found = []
        for s, (base, finetuned) in zip(sums, totals, strict=True):
            moved = swapped @ (s.finetuned - s.base)
            found.append(np.abs(s.difference(base + moved, finetuned - moved)))
        return (np.stack(found, axis=-1) >= threshold).astype(np.int64)  # (draws, scores)

    result = scipy.stats.permutation_test(
        (np.arange(groups), np.arange(groups, 2 * groups)),
        as_far,
        permutation_type="samples",
        vectorized=True,
        n_resamples=settings.resamples,
        batch=max(1, CELLS_AT_ONCE // groups),
        alternative="greater",
        rng=np.random.default_rng([settings.seed, 1]),
    )
    return np.where(np.isnan(observed), np.nan, result.pvalue)
