import math

import pytest

from medtune.comparison.significance import (
    effective_groups,
    fewest_groups,
    holm,
    outcome,
    too_few_groups,
    too_uneven,
)


@pytest.mark.parametrize(
    ("low", "high", "p_value", "better", "expected"),
    [
        (-0.085, -0.0004, 0.21, 1, "unclear"),  # an interval without 0 beside a large p
        (-0.085, 0.001, 0.04, 1, "unclear"),  # a small p beside an interval with 0
        (-0.085, -0.010, 0.04, 1, "worse"),
        (-0.085, -0.010, 0.04, -1, "better"),
        (0.010, 0.085, 0.10, 1, "better"),  # exactly 1 - confidence
        (0.010, 0.085, 0.04, 0, "changed"),
        (0.0, 0.085, 0.04, 1, "unclear"),
        (None, None, None, 1, "unclear"),
        (math.nan, math.nan, math.nan, 1, "unclear"),
        (0.010, 0.085, math.nan, 1, "unclear"),
    ],
)
def test_a_difference_counts_if_interval_and_p_value_agree(
    low: float, high: float, p_value: float, better: int, expected: str
) -> None:
    assert outcome(low, high, p_value, better, confidence=0.9) == expected


def test_holm_multiplies_the_smallest_p_value_most() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_does_not_count_what_has_no_p_value() -> None:
    adjusted = holm([math.nan, 0.02, 0.01])
    assert math.isnan(adjusted[0]) and adjusted[1:] == [0.02, 0.02]


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
def test_fewer_groups_can_reach_no_small_p_value(confidence: float) -> None:
    groups = fewest_groups(confidence)
    assert 2 / 2**groups <= 1 - confidence < 2 / 2 ** (groups - 1)
    assert too_few_groups(groups - 1, confidence) and not too_few_groups(groups, confidence)


def test_giant_groups_are_worth_few_even_ones() -> None:
    singles = [str(n) for n in range(30)]
    assert effective_groups(singles) == 30
    giants = [name for name in "abc" for _ in range(50)]
    assert effective_groups(giants + singles) == pytest.approx(180**2 / (3 * 50**2 + 30))
    assert too_uneven(giants + singles)
    assert not too_uneven(singles)
    assert not too_uneven(giants), "even groups are only few"
    assert effective_groups([]) == 0 and not too_uneven([])
