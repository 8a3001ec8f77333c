"""Tests can be interrupted whatever shell starts them, and leave no process behind."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests import conftest, warm_python

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


@pytest.mark.parametrize(("left", "status"), [([], 0), (["sleep 600"], 1)])
def test_what_forks_of_the_shared_process_leave_behind_fails_the_session(
    left: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conftest, "WORKER", "")
    monkeypatch.setattr(conftest, "left_behind", lambda: left)
    monkeypatch.setattr(warm_python, "stop", lambda: None)
    monkeypatch.setenv(warm_python.FOLDER_VARIABLE, "/tmp")
    session: Any = SimpleNamespace(exitstatus=0)
    conftest.pytest_sessionfinish(session)
    assert session.exitstatus == status


@pytest.mark.parametrize(
    ("cores", "gib", "workers"), [(2, 24, 3), (2, 7, 2), (1, 1, 1), (64, 500, 4)]
)
def test_there_is_one_worker_more_than_cores_if_memory_allows(
    cores: int,
    gib: int,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda: cores)
    memory = psutil.virtual_memory()._replace(available=gib * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(pytestconfig.option, "numprocesses", "auto")
    assert conftest.pytest_xdist_auto_num_workers(pytestconfig) == workers
    monkeypatch.setattr(pytestconfig.option, "numprocesses", "logical")
    assert conftest.pytest_xdist_auto_num_workers(pytestconfig) is None
