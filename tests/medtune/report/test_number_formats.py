import math

import pytest

from medtune.report.number_formats import interval_text, number


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (0.1234, "0.123", "+0.123"),
        (-0.5, "-0.500", "-0.500"),
        (-0.0001, "0.000", "0.000"),
        (0.0001, "0.000", "0.000"),
        (0.0, "0.000", "0.000"),
        (None, "n/a", "n/a"),
        (math.nan, "n/a", "n/a"),
    ],
)
def test_what_rounds_to_zero_has_no_sign(value: float | None, plain: str, signed: str) -> None:
    assert number(value, 3) == plain
    assert number(value, 3, sign=True) == signed


def test_an_interval_has_both_ends_or_none() -> None:
    assert interval_text(-0.0004, 0.12, 3) == "0.000 to +0.120"
    assert interval_text(None, 0.1, 3) == "n/a"
