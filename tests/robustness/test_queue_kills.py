"""What brings an experiment back whose worker was killed: docs/reproducibility.md has the commands.

It takes minutes: python -m pytest tests/robustness/test_queue_kills.py --graph-kills 1
"""

import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.projects import ENVIRONMENT, run
from tests.waiting import until

QUEUE = ("dvc", "exp", "run", "--queue", "--name", "lost", "-S", "train.lr=0.02")
PATIENCE_S = 240


def working_in(project: Path, command: str) -> list[psutil.Process]:
    """Returns the processes below the project whose command line has these words."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(project)
            if inside and command in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def start_worker(project: Path) -> None:
    """Does not wait for the worker, which would keep a pipe open."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["dvc", "queue", "start"], cwd=project, env=ENVIRONMENT, check=True, **quiet)


def is_off_the_list(project: Path) -> bool:
    """Whether the experiment counts as running no more; if it does, asks DVC again to end it.

    DVC takes it off its list once its process is gone, which for a while may be a zombie.
    """
    if "Running" not in run(project, "dvc", "queue", "status").stdout:
        return True
    run(project, "dvc", "queue", "kill", "lost")
    return False


def test_an_experiment_whose_worker_was_killed_runs_again(
    smoke: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--graph-kills"):
        pytest.skip("takes long: asked for with --graph-kills")
    project = shutil.copytree(smoke, tmp_path / "project", symlinks=True).resolve()
    run(project, *QUEUE)
    start_worker(project)
    until(lambda: working_in(project, "stages.train"), PATIENCE_S)
    (worker,) = working_in(project, "exp queue-worker")
    worker.kill()
    assert "Running" in run(project, "dvc", "queue", "status").stdout
    run(project, "dvc", "queue", "kill", "lost")  # ends the experiment
    until(lambda: is_off_the_list(project), PATIENCE_S)
    run(project, *QUEUE)
    start_worker(project)
    until(lambda: working_in(project, "exec-run"), PATIENCE_S)
    until(lambda: not working_in(project, "exec-run"), PATIENCE_S)
    run(project, "dvc", "queue", "stop")  # once the worker has fetched the result
    until(lambda: not working_in(project, "queue-worker"), PATIENCE_S)
    assert run(project, "dvc", "exp", "list", "--name-only").stdout.split()[-1] == "lost"
