import logging
import time

import pytest

from medtune.runtime import progress
from medtune.runtime.stage import set_up_logging

pytestmark = pytest.mark.slow

logger = logging.getLogger("medtune")


def test_a_long_call_repeats_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.05)
    set_up_logging("split")
    with progress.heartbeat():
        logger.info("grouping")
        time.sleep(0.5)
    first, *repeated = capfd.readouterr().err.splitlines()
    assert first == "split: grouping"
    assert len(repeated) >= 3
    assert set(repeated) <= {"split: grouping … 0 s", "split: grouping … 1 s"}


def test_a_bar_between_two_slow_steps_is_shown_again(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.05)
    set_up_logging("train")
    with progress.heartbeat(), progress.progress(total=2, unit="step") as bar:
        bar.update()
        capfd.readouterr()
        time.sleep(0.5)
    assert capfd.readouterr().err.count("1/2") >= 3


def test_nothing_is_repeated_while_bars_and_lines_come(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.2)
    set_up_logging("train")
    with progress.heartbeat():
        for _ in range(10):
            logger.info("line")
            time.sleep(0.05)
    assert capfd.readouterr().err.splitlines() == ["train: line"] * 10


def test_a_bar_that_slows_down_does_not_fall_silent(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.05)
    bar = progress.progress(total=2000)
    bar.delay = 0
    for _ in range(1000):
        time.sleep(0.0005)
        bar.update()
    capfd.readouterr()
    for _ in range(4):
        time.sleep(0.06)
        bar.update()
    assert capfd.readouterr().err.count("\r") >= 4
