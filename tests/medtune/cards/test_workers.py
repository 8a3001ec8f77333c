"""Results come in order whatever the number of processes, and nothing outlives an interruption."""

import math
import operator
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from medtune.cards import workers
from medtune.cards.workers import map_in_order
from medtune.runtime.errors import InputError

ROOT = Path(__file__).parents[3]
ENDLESS = """
import itertools, math
from medtune.cards import workers
from medtune.runtime.stage import run

workers.core_count = lambda: 2

def main():
    for _ in workers.map_in_order(math.factorial, itertools.repeat(2000), 1):
        pass

run("clean", main)
"""


@pytest.fixture(params=[1, 2, 3])
def count(request, monkeypatch):
    monkeypatch.setattr(workers, "core_count", lambda: request.param)
    return request.param


@pytest.mark.slow
def test_results_are_in_order_for_any_number_of_processes(count):
    results = list(map_in_order(math.factorial, (n % 300 for n in range(1000)), alone=10))
    assert results == [math.factorial(n % 300) for n in range(1000)]


@pytest.mark.parametrize("items", [0, 1, 2, 3])
def test_few_items_start_no_process(items, monkeypatch):
    monkeypatch.setattr(workers, "core_count", lambda: 2)
    monkeypatch.delattr(workers, "ProcessPoolExecutor")
    assert list(map_in_order(operator.neg, range(items), alone=3)) == [-n for n in range(items)]


@pytest.mark.slow
def test_few_items_are_taken_ahead(monkeypatch):
    monkeypatch.setattr(workers, "core_count", lambda: 2)
    taken = []
    results = map_in_order(operator.neg, (taken.append(n) or n for n in range(100)), alone=2)
    for done in range(20):
        next(results)
        assert len(taken) <= done + 1 + 2 * workers.AHEAD
    results.close()


@pytest.mark.slow
def test_an_error_in_work_or_items_comes_through(count):
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(partial(operator.floordiv, 1), [1, 2, 0, 3], alone=1))

    def items():
        yield from [1, 2, 3]
        raise InputError("row 3 is bad")

    with pytest.raises(InputError, match="row 3"):
        list(map_in_order(operator.neg, items(), alone=1))


@pytest.mark.slow
def test_a_killed_worker_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(workers, "core_count", lambda: 2)
    with pytest.raises(InputError, match="a worker process was killed, most likely for lack of me"):
        list(map_in_order(signal.raise_signal, [0, signal.SIGKILL], alone=0))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        children = working_children(process)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does: to the workers too
        else:
            process.kill()
        _, errors = process.communicate(timeout=30)
        _, alive = psutil.wait_procs(children, timeout=10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert not alive
    if number == signal.SIGINT:
        assert process.returncode == 1
        # A busy machine shows signs of life before.
        lines = [line for line in errors.splitlines() if "clean: starting …" not in line]
        assert len(lines) == 1
        assert lines[0] == "clean: interrupted: run the same command again"


def working_children(process):
    """The children of a process, when two of them compute."""
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 60
    while sum(child.cpu_times().user > 0.3 for child in parent.children()) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return parent.children(recursive=True)
