"""Measures the guard and its safeguards: rates and AUROC with 95 % intervals."""

import numpy as np
from scipy.special import expit, logit, ndtri
from scipy.stats import binomtest, rankdata

CONFIDENCE = 0.95


def rate(name: str, hits: np.ndarray) -> dict[str, float]:
    """Returns the share of true values with its Wilson interval, and how many values there are."""
    count, n = int(hits.sum()), len(hits)
    interval = binomtest(count, n).proportion_ci(CONFIDENCE, method="wilson")
    return _with_interval(name, count / n, interval.low, interval.high) | {f"{name}.n": n}


def auroc(name: str, positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """Returns how often a positive scores above a negative, 0 to 1; ties count half, chance is 0.5.

    The interval is DeLong's (1988), by ranks (Sun and Xu 2014) and on the logit scale. It is NaN
    for a single score, or if the two do not overlap. Example: the positives 2 and 1 score above the
    negatives 1 and 0 in 3.5 of 4 pairs, 0.875.
    """
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # share of the negatives below each positive
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    area = float(above.mean())
    if min(m, n) < 2 or not 0 < area < 1:
        return _with_interval(name, area, np.nan, np.nan)
    error = np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    margin = ndtri((1 + CONFIDENCE) / 2) * error / (area * (1 - area))
    return _with_interval(name, area, expit(logit(area) - margin), expit(logit(area) + margin))


def _with_interval(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}.ci_low": float(low), f"{name}.ci_high": float(high)}
