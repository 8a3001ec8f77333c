"""Tests can be interrupted whatever shell starts them, and leave no process behind."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

TESTS = Path(__file__).parent
LEAVES_TWO = """
import signal, subprocess, sys
from pathlib import Path

SLEEP = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
ORPHAN = f"import subprocess; print(subprocess.Popen({SLEEP}, stdout=-3).pid, flush=True)"

def test_child():
    child = subprocess.Popen(SLEEP, stdout=-1)
    child.stdout.readline()
    Path("child").write_text(str(child.pid))

def test_orphan():
    Path("orphan").write_text(subprocess.check_output([sys.executable, "-c", ORPHAN], text=True))

def test_interrupted():
    interrupted = subprocess.Popen(SLEEP, stdout=-1, stderr=-3)
    interrupted.stdout.readline()
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(10) != 0
"""


@pytest.fixture
def session(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Tests that leave two processes behind, in a shell that ignores SIGINT."""
    (tmp_path / "test_leaves_two.py").write_text(LEAVES_TWO, encoding="utf-8")
    options = f"-p conftest --confcutdir {tmp_path} --rootdir {tmp_path} -p no:cacheprovider"
    command = [sys.executable, "-m", "pytest", *options.split(), str(tmp_path)]
    ignoring = f'trap "" INT; PYTHONPATH={TESTS}:{TESTS.parent} exec "$@"'
    shell = ["sh", "-c", ignoring, "sh", *command]
    return subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.slow
def test_processes_left_behind_are_named_and_killed(
    session: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert session.returncode == 1
    assert "3 passed, 1 error" in session.stdout, session.stdout + session.stderr
    for name in ("child", "orphan"):
        assert f"test_leaves_two.py::test_{name} (call)" in session.stdout
        number = int((tmp_path / name).read_text())
        assert not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"
