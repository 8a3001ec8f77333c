import time

import pytest

from medtune import progress
from medtune.stage import set_up_logging


def test_a_long_call_gives_signs_of_life(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.05)
    set_up_logging("split")
    with progress.ticking("grouping"):
        time.sleep(0.3)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert set(lines) == {"split: grouping: 0 s"}


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
