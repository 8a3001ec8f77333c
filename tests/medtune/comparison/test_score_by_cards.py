import numpy as np
import pytest

from medtune.comparison.score_by_cards import LearningCurve, learning_curve
from medtune.scoring.scores import Array, Score

MEAN = Score(name="mean", title="mean", higher_is_better=True, columns=())
LOSS = Score(name="loss", title="loss", higher_is_better=False, columns=())
CARDS = (100, 200, 400, 800)


def drawn(means: list[float], noise: float = 0.0, score: Score = MEAN) -> LearningCurve:
    """A curve over 40 cards; what is hard for one size is hard for all."""
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 0.3, 40)

    def rows(mean: float) -> Array:
        values = mean + hard + generator.normal(0, noise, 40)
        return np.stack([values - (hard.mean() if not noise else 0), np.ones(40)], axis=1)

    return learning_curve(score, CARDS, [rows(mean) for mean in means], np.arange(40), 0.95)


def test_a_line_over_doublings_is_extrapolated_exactly() -> None:
    found = drawn([0.1, 0.2, 0.3, 0.4])
    assert found.doubling.value == pytest.approx(0.1)
    assert found.missed_by == pytest.approx(0.0)
    assert found.values[-1].value == pytest.approx(0.4)


def test_the_check_predicts_the_last_size_from_the_three_before() -> None:
    assert drawn([0.1, 0.2, 0.3, 0.35]).missed_by == pytest.approx(0.05)


def test_the_gain_of_doubling_is_that_of_the_last_three_sizes() -> None:
    assert drawn([0.9, 0.2, 0.3, 0.4]).doubling.value == pytest.approx(0.1)


def test_the_interval_of_the_gain_knows_that_all_sizes_answer_the_same_cards() -> None:
    found = drawn([0.1, 0.2, 0.3, 0.4], noise=0.02)
    last = found.values[-1]
    assert found.doubling.ci_high - found.doubling.ci_low < 0.1 * (last.ci_high - last.ci_low)


@pytest.mark.parametrize(
    ("means", "noise", "score", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.02, MEAN, True),
        ([0.4, 0.3, 0.2, 0.1], 0.02, MEAN, False),
        ([0.4, 0.3, 0.2, 0.1], 0.02, LOSS, True),
        ([0.3, 0.301, 0.3, 0.302], 0.2, MEAN, False),
        ([0.0, 0.2, 0.4, 0.41], 0.02, MEAN, False),  # it flattens: the method misses by more
    ],
)
def test_more_cards_are_worth_it_if_the_gain_is_sure_and_larger_than_the_miss(
    means: list[float], noise: float, score: Score, expected: bool
) -> None:
    assert drawn(means, noise, score).is_worth_it is expected
