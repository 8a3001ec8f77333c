"""How a score grows with the number of training cards, and what twice as many would bring."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medtune.comparison.seeds import Estimate, estimate, jackknife
from medtune.scoring.scores import Array, Score

# Sizes that a line is fitted to: the largest ones, and for the check those before the last.
FITTED = 3


@dataclass(frozen=True)
class LearningCurve:
    """A score of trainings with ever more cards.

    `doubling` is the gain from twice as many cards as the last size. `missed_by` is what the same
    extrapolation makes of the sizes before the last, less the score that was seen there.
    """

    score: Score
    cards: tuple[int, ...]
    values: tuple[Estimate, ...]
    doubling: Estimate
    missed_by: float

    @property
    def is_worth_it(self) -> bool:
        """Whether the gain is sure, as far as the test cards go, and larger than the miss."""
        ends = (self.doubling.ci_low, self.doubling.ci_high)
        surest = min(self.score.better * end for end in ends)
        return surest > 0 and abs(self.doubling.value) > abs(self.missed_by)


def learning_curve(
    score: Score, cards: Sequence[int], rows: Sequence[Array], groups: Array, confidence: float
) -> LearningCurve:
    """Fits a line to the score over the logarithm of the cards, and extrapolates it.

    `rows` holds each size's statistics of the same test cards, (rows, k), smallest size first;
    `groups` numbers the group of each row. Intervals know the chance of the test cards only.
    """
    values = np.stack([jackknife(score, each, groups) for each in rows])  # (sizes, 1 + groups)
    doublings = np.log2(cards)
    seen, before = slice(-FITTED, None), slice(-FITTED - 1, -1)
    slope = _slope(doublings[seen])
    predicted = _at(doublings[before], doublings[-1]) @ values[before, 0]
    return LearningCurve(
        score=score,
        cards=tuple(cards),
        values=tuple(estimate(each[None], confidence) for each in values),
        doubling=estimate((slope @ values[seen])[None], confidence),
        missed_by=float(predicted - values[-1, 0]),
    )


def _slope(x: Array) -> Array:
    """Returns the weights with which least squares sums up values at `x` to a slope."""
    centred = x - x.mean()
    return centred / (centred**2).sum()


def _at(x: Array, new: float) -> Array:
    """Returns the weights with which least squares sums up values at `x` to the value at `new`."""
    return 1 / len(x) + _slope(x) * (new - x.mean())
