import pytest

from medtune.report.reliability_figure import wilson_reach


def test_wilson_s_interval_of_one_out_of_two_is_that_of_the_textbook() -> None:
    down, up = wilson_reach(2, 0.5, 0.95)
    assert (0.5 - down, 0.5 + up) == (
        pytest.approx(0.0945, abs=1e-4),
        pytest.approx(0.9055, abs=1e-4),
    )
    assert wilson_reach(1, 1.0, 0.95)[1] == 0.0
