"""Processes that work together also fail together."""

import os
import signal
import subprocess
import sys

import pytest

from tests.loopback_server import free_port
from tests.projects import ROOT

WORKER = """
import os
from medtune.modeling.distributed import from_first, divide_among_processes
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

def halves(items):
    if os.environ["RANK"] == "1":
        raise ValueError("no half of a word")
    return [item / 2 for item in items]

def latest():
    raise InputError("the checkpoint is damaged: remove it")

set_up_logging("train")
assert from_first(lambda: os.getpid()) == from_first(lambda: os.getpid())
assert divide_among_processes(lambda items: [item * 2 for item in items], [1, 2, 3]) == [2, 4, 6]
try:
    divide_among_processes(halves, [1, 2, 3])
except Exception as error:
    print(f"{type(error).__name__}: {error}", flush=True)
with one_line_errors("train"):
    from_first(latest)
"""


@pytest.mark.slow
def test_an_error_in_one_process_ends_all_of_them_with_a_line() -> None:
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    # 1; at its end, a thread of gloo may also abort a process whose peer has just left.
    assert all(process.returncode in (1, -signal.SIGABRT) for process in processes)
    remedy = "mend that and run this again"
    word = f"another process has failed (ValueError: no half of a word): {remedy}"
    assert said[0][0] == f"InputError: {word}\n"
    assert said[1][0] == "ValueError: no half of a word\n"
    damaged = "the checkpoint is damaged: remove it"
    assert f"train: {damaged}" in said[0][1].splitlines()
    line = f"train: another process has failed ({damaged}): {remedy}"
    assert line in said[1][1].splitlines()
