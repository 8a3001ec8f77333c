from typing import Any

import pytest

from benchmarks.turns import Turns
from medtune.runtime.errors import InputError


def run(steps: list[int], slices: int, total: int | None = None) -> tuple[Turns, list[Any]]:
    """The reports of a run whose steps see so many useful tokens."""
    reports: list[Any] = []
    turns = Turns(total or sum(steps), slices, reports.append)
    for tokens in steps:
        turns.count(tokens)
        turns.end_step()
    return turns, reports


def test_the_first_step_is_a_warm_up_and_the_rest_is_cut_into_equal_slices() -> None:
    turns, (warm_up, *slices) = run([50] + [10] * 12, slices=4)
    turns.check_finished()
    assert "tokens" not in warm_up
    assert [report["tokens"] for report in slices] == [30, 30, 30, 30]
    assert all(report["seconds"] > 0 for report in slices)
    assert warm_up["peak_memory_gib"] > 0


def test_a_slice_ends_with_the_step_that_fills_it() -> None:
    _, (_, *slices) = run([1, 7, 7, 7, 3], slices=2)
    assert [report["tokens"] for report in slices] == [14, 10]


def test_the_clock_stands_still_while_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    reports = []

    def wait(report: Any) -> None:
        reports.append(report)
        now[0] += 100

    turns = Turns(3, 2, wait)
    for _ in range(3):
        now[0] += 2
        turns.count(1)
        turns.end_step()
    assert [report["seconds"] for report in reports[1:]] == [2, 2]


def test_a_run_of_too_few_steps_says_so() -> None:
    turns, _ = run([10, 10, 10], slices=3)
    with pytest.raises(InputError, match="too few steps for 3 slices: raise --cards"):
        turns.check_finished()


def test_an_arm_that_saw_other_tokens_is_no_comparison() -> None:
    turns, _ = run([10, 10, 10], slices=2, total=31)
    with pytest.raises(AssertionError, match="30 useful tokens were trained on, not 31"):
        turns.check_finished()
