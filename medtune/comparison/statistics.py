"""Paired statistics: what changed between base and fine-tuned, and how sure that is.

Both models answered the same questions. Rows of one group (near-duplicates, one topic) are not
independent evidence, so whole groups are resampled and swapped, never single rows.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.stats
from scipy.special import ndtri, stdtrit
from scipy.stats import DegenerateDataWarning

from medtune.scoring.scores import SCORES, Array, Score, statistics

CELLS_AT_ONCE = 2_000_000  # of (resamples, groups); bounds the memory to about 50 MB
TOLERANCE = 1e-9  # relative; values that differ only by rounding are equal


@dataclass(frozen=True)
class Settings:
    """The number of resamples, the confidence of the intervals (0 to 1), a seed, and the scores."""

    resamples: int
    confidence: float
    seed: int
    scores: Sequence[Score] = SCORES


@dataclass(frozen=True)
class Comparison:
    """One score of both models. `difference` is fine-tuned minus base; undefined values are NaN.

    `wins`, `ties` and `losses` count rows from the fine-tuned model's side; they are None for
    scores that a single row does not have (BLEU, chrF) or that have no better direction. If not
    all rows count for the score, `counted_rows` and `counted_groups` say how many do.
    """

    base: float
    finetuned: float
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None
    counted_rows: int | None = None
    counted_groups: int | None = None

    def flat(self, name: str) -> dict[str, float]:
        """Returns its fields as "<name>.<field>", without those that are None."""
        return {f"{name}.{key}": value for key, value in asdict(self).items() if value is not None}


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


def compare_tables(
    base: pa.Table,
    finetuned: pa.Table,
    scores: Sequence[Score],
    settings: Settings,
) -> dict[str, Comparison]:
    """Compares two tables of predictions with the same rows in the same order, by score name.

    Each resample's difference is computed anew from its sums. With one group that counts for a
    score, its interval and p-value are NaN.
    """
    groups = group_numbers(base)
    rows = [(score, statistics(base, score), statistics(finetuned, score)) for score in scores]
    sums = [Sums(score, per_group(b, groups), per_group(f, groups)) for score, b, f in rows]
    low, high, p_values = resampled(sums, settings)
    result = {}
    for i, (score, base_rows, finetuned_rows) in enumerate(rows):
        before = float(score.value(base_rows.sum(axis=0)))
        after = float(score.value(finetuned_rows.sum(axis=0)))
        result[score.name] = Comparison(
            base=before,
            finetuned=after,
            difference=after - before,
            ci_low=float(low[i]),
            ci_high=float(high[i]),
            p_value=float(p_values[i]),
            **wins_ties_losses(score, base_rows, finetuned_rows),
            **counts(Sums(score, base_rows, finetuned_rows), sums[i]),
        )
    return result


def resampled(sums: Sequence[Sums], settings: Settings) -> Array:
    """Returns lower ends, upper ends and p-values, (3, scores), each from the groups that count."""
    result = np.full((3, len(sums)), np.nan)
    same: dict[bytes, list[int]] = {}  # scores by the groups that count for them
    for i, s in enumerate(sums):
        same.setdefault(s.counted.tobytes(), []).append(i)
    for chosen in same.values():
        groups = sums[chosen[0]].counted
        if groups.sum() > 1:
            parts = [sums[i].only(groups) for i in chosen]
            ends = intervals(parts, bootstrap(parts, settings), settings.confidence)
            result[:, chosen] = np.stack([*ends, permutation(parts, settings)])
    return result


def counts(rows: Sums, groups: Sums) -> dict[str, int]:
    """Returns how many rows and groups count for a score; nothing if all rows do."""
    if rows.counted.all():
        return {}
    return {
        "counted_rows": int(rows.counted.sum()),
        "counted_groups": int(groups.counted.sum()),
    }


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


def wins_ties_losses(score: Score, base: Array, finetuned: Array) -> dict[str, int]:
    """Counts rows where the fine-tuned model is better, equal up to rounding, or worse.

    `base` and `finetuned` are (rows, k). Returns nothing for a score that a single row does not
    have, such as BLEU.
    """
    if score.better == 0 or len(score.columns) == 1:
        return {}
    before, after = score.value(base), score.value(finetuned)
    ties = np.isclose(before, after, rtol=TOLERANCE, atol=0)
    gains = score.better * (after - before)
    outcome = {"wins": ~ties & (gains > 0), "ties": ties, "losses": ~ties & (gains < 0)}
    return {name: int(rows.sum()) for name, rows in outcome.items()}


def group_numbers(table: pa.Table) -> Array:
    """Returns the number of each row's group, from 0, in the order of their names."""
    return pc.rank(table.column("group"), tiebreaker="dense").to_numpy() - 1


def per_group(rows: Array, groups: Array) -> Array:
    """Sums statistics of rows, (rows, k), over each group; `groups` numbers that of each row."""
    sums = np.zeros((groups.max() + 1, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums
