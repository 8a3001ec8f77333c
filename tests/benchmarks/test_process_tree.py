import sys
from pathlib import Path

import pytest

from benchmarks.process_tree import run
from medtune.runtime.errors import InputError

CHILD = "import time; x = bytearray(200 << 20); time.sleep(0.5)"


def test_memory_of_children_counts_and_shared_memory_counts_once(tmp_path: Path) -> None:
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
    forks = "import os, time; x = bytearray(200 << 20); os.fork(); time.sleep(0.5)"
    for code in (starts, forks):
        cost = run([sys.executable, "-c", code], tmp_path)
        assert 0.195 < cost.peak_memory_gib < 0.25
        assert 0.5 < cost.seconds < 10


def test_output_and_variables_pass_through(tmp_path: Path) -> None:
    code = "import os; print(os.environ['A'], os.path.basename(os.getcwd()))"
    assert run([sys.executable, "-c", code], tmp_path, {"A": "1"}).output == f"1 {tmp_path.name}\n"


def test_a_command_that_fails_is_one_line(tmp_path: Path) -> None:
    code = "import sys; print('first', file=sys.stderr); sys.exit('no cards')"
    with pytest.raises(InputError, match=r"ended with code 1: no cards$"):
        run([sys.executable, "-c", code], tmp_path)
