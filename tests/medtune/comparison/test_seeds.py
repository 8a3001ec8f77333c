import math

import numpy as np
import pytest
import scipy.stats

from medtune.comparison.seeds import differences, estimate, jackknife
from medtune.scoring.scores import Array, Score

MEAN = Score(name="mean", title="mean", higher_is_better=True, columns=())
TRUTH = 0.05


def counted(values: Array) -> Array:
    """Rows of a mean: each value counts once."""
    return np.stack([values, np.ones_like(values)], axis=1)


def test_the_jackknife_leaves_out_each_group_in_turn() -> None:
    values, groups = np.array([1.0, 2.0, 6.0]), np.array([0, 0, 1])
    assert jackknife(MEAN, counted(values), groups).tolist() == [3.0, 6.0, 1.5]


def test_groups_without_a_card_that_counts_are_no_evidence() -> None:
    values, groups = np.array([1.0, 2.0, 6.0, 0.0]), np.array([0, 0, 2, 1])
    rows = counted(values) * [[1], [1], [1], [0]]
    assert jackknife(MEAN, rows, groups).tolist() == [3.0, 6.0, 1.5]
    assert math.isnan(estimate(jackknife(MEAN, 0 * rows, groups)[None], 0.95).value)


def test_one_seed_has_students_interval_over_groups() -> None:
    values = np.random.default_rng(0).normal(size=12)
    found = estimate(jackknife(MEAN, counted(values), np.arange(12))[None], 0.95)
    expected = scipy.stats.ttest_1samp(values, 0)
    assert found.value == pytest.approx(values.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p_value == pytest.approx(expected.pvalue)


def test_seeds_that_differ_alike_on_all_cards_have_students_interval_over_seeds() -> None:
    of_seeds = np.array([0.1, 0.3, 0.2, 0.7])
    runs = [counted(np.full(6, value)) for value in of_seeds]
    found = estimate(differences(MEAN, runs, None, np.arange(6)), 0.9)
    expected = scipy.stats.ttest_1samp(of_seeds, 0)
    ends = tuple(expected.confidence_interval(0.9))
    assert (found.ci_low, found.ci_high) == pytest.approx(ends)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_equal_seeds_tell_no_more_than_one() -> None:
    rows, groups = counted(np.random.default_rng(1).normal(size=20)), np.arange(20)
    one = estimate(differences(MEAN, [rows], None, groups), 0.95)
    three = estimate(differences(MEAN, [rows] * 3, None, groups), 0.95)
    assert three.value == pytest.approx(one.value)
    assert (three.ci_low, three.ci_high) == pytest.approx((one.ci_low, one.ci_high))


def test_the_other_system_is_paired_card_by_card() -> None:
    hard = np.random.default_rng(2).normal(0, 5, 30)  # how hard the cards are
    gains = np.random.default_rng(3).normal(0.2, 0.1, (2, 30))
    found = estimate(
        differences(MEAN, [counted(hard + gain) for gain in gains], counted(hard), np.arange(30)),
        0.95,
    )
    assert found.ci_high - found.ci_low < 0.5
    assert found.value == pytest.approx(gains.mean())


@pytest.mark.slow
def test_the_interval_contains_zero_exactly_when_p_is_above_the_level() -> None:
    generator = np.random.default_rng(4)
    crossed = 0
    for _ in range(200):
        runs = [counted(generator.normal(0.3, 1, 15)) for _ in range(3)]
        found = estimate(differences(MEAN, runs, None, np.arange(15)), 0.95)
        contains = found.ci_low <= 0 <= found.ci_high
        assert contains == (found.p_value >= 0.05)
        crossed += contains
    assert 0 < crossed < 200


def test_one_group_has_no_interval() -> None:
    found = estimate(jackknife(MEAN, counted(np.ones(3)), np.zeros(3, int))[None], 0.95)
    assert found.value == 1.0
    assert all(math.isnan(end) for end in (found.ci_low, found.ci_high, found.p_value))


def covered(seeds: int, groups: int, of_seed: float, draws: int, uneven: bool) -> list[float]:
    """How often 95 % intervals contain the truth: of one run, and of all seeds."""
    generator = np.random.default_rng([seeds, groups])
    found = np.zeros(2)
    for _ in range(draws):
        sizes = generator.integers(1, 4, groups) if uneven else np.full(groups, 2)
        codes = np.repeat(np.arange(groups), sizes)
        shared = TRUTH + generator.normal(0, 0.2, groups)[codes]
        runs = []
        for _ in range(seeds):
            own = generator.normal(0, of_seed) + generator.normal(0, 0.1, groups)[codes]
            runs.append(counted(shared + own + generator.normal(0, 0.2, len(codes))))
        values = differences(MEAN, runs, None, codes)
        for n, each in enumerate((values[:1], values)):
            made = estimate(each, 0.95)
            found[n] += made.ci_low <= TRUTH <= made.ci_high
    return (found / draws).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(("seeds", "groups"), [(2, 80), (5, 20), (5, 80)])
def test_95_percent_intervals_over_seeds_contain_the_truth_in_93_to_98_percent(
    seeds: int, groups: int, uneven: bool
) -> None:
    for of_seed in (0.0, 0.03):
        assert 0.93 <= covered(seeds, groups, of_seed, 1000, uneven)[1] <= 0.985


@pytest.mark.slow
def test_the_interval_of_one_run_is_too_narrow_where_seeds_differ() -> None:
    of_one, of_all = covered(5, 80, 0.03, 1000, uneven=False)
    assert of_one < 0.88 and of_all > 0.93
