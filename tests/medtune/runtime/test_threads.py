import os
import subprocess
import sys
from pathlib import Path

import pytest

from medtune.runtime import threads

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def waiting(given: dict[str, str]) -> list[str]:
    """Returns what a process that imports medtune has in its environment."""
    code = f"import os, medtune; print(*(os.environ.get(name) for name in {NAMES}))"
    others = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=others | given, capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_waiting_threads_sleep() -> None:
    policy, spins = waiting({})
    assert policy == "passive"
    assert spins in ("None", threads.SPINS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"OMP_WAIT_POLICY": "active"}, ["active", "None"]),
        ({"OMP_WAIT_POLICY": "passive"}, ["passive", "None"]),
    ],
)
def test_what_the_user_sets_counts(given: dict[str, str], found: list[str]) -> None:
    assert waiting(given) == found


@pytest.mark.parametrize(
    ("runnable", "own", "expected"),
    [(1, 2, True), (2, 2, False), (2, 1, True), (5, 2, False)],
)
def test_threads_spin_only_where_each_has_a_core(
    runnable: int, own: int, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadavg").write_text(f"0.10 0.20 0.30 {runnable}/200 4711\n")
    monkeypatch.setattr(threads, "RUNNABLE", tmp_path / "loadavg")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(own)))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert threads.cores_are_free(reads=2) is expected


def test_threads_sleep_where_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "RUNNABLE", tmp_path / "loadavg")
    assert not threads.cores_are_free()
