"""Says when a difference counts: one rule for every verdict, and Holm's correction for several."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

Outcome = Literal["better", "worse", "changed", "unclear"]

FEW_EFFECTIVE_GROUPS = 10  # with fewer, the coverage of a 95 % interval can fall below 93 %
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
