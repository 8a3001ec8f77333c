"""What DVC does with a pipeline whose outputs are declared like ours: it trains nothing twice.

The expensive stage has all outputs in DVC's cache, those of the quick one persist.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtune.artifacts.lock_file import LOCK, mend
from tests.projects import commit_all, run

pytestmark = pytest.mark.slow

STAGE = """\
import sys
from pathlib import Path

with Path(sys.argv[2]).open("a") as log:
    log.write(sys.argv[1] + "\\n")
Path("metrics").mkdir(exist_ok=True)
if sys.argv[1] == "train":
    Path("model").mkdir()
    Path("model/weights").write_text(Path("params.yaml").read_text())
    Path("metrics/train_cost.json").write_text("{}")
else:
    Path("metrics/compare.json").write_text(Path("model/weights").read_text())
"""
GRAPH = """\
stages:
  train:
    cmd: PYTHON stage.py train LOG
    params: [lr]
    deps: [stage.py]
    outs: [model, metrics/train_cost.json]
  compare:
    cmd: PYTHON stage.py compare LOG
    deps: [stage.py, model]
    metrics: [metrics/compare.json: {cache: false, persist: true}]
"""
CONFIG = "[core]\n    remote = shared\n['remote \"shared\"']\n    url = {}\n"
Runner = Callable[..., list[str]]


@pytest.fixture
def repro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs the pipeline of the current folder with a learning rate; returns the stages that ran."""
    from dvc.repo import Repo

    log, project = tmp_path / "log", tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    (project / "stage.py").write_text(STAGE)
    graph = GRAPH.replace("PYTHON", sys.executable).replace("LOG", str(log))
    (project / "dvc.yaml").write_text(graph)
    run(project, "git", "init", "-q")
    Repo.init(".").close()
    (project / ".dvc/config").write_text(CONFIG.format(tmp_path / "shared"))

    def reproduced(lr: float, experiment: bool = False, **options: Any) -> list[str]:
        log.write_text("")
        with Repo(".") as repo:
            if experiment:
                repo.experiments.run(params=[f"lr={lr}"], **options)
            else:
                Path("params.yaml").write_text(f"lr: {lr}\n")
                repo.reproduce(**options)
        return log.read_text().split()

    return reproduced


def test_going_back_trains_nothing_and_restores_every_output(repro: Runner) -> None:
    assert repro(1) == ["train", "compare"]
    first = LOCK.read_bytes()
    assert repro(2) == ["train", "compare"]
    assert repro(1) == ["compare"]
    assert LOCK.read_bytes() == first
    assert Path("metrics/compare.json").read_text() == "lr: 1\n"
    shutil.rmtree("model")
    assert repro(1) == []
    assert repro(1, targets=["train"], force=True) == ["train"]


def test_an_experiment_that_ran_before_trains_nothing(repro: Runner) -> None:
    for lr in (2, 1):
        repro(lr)
    commit_all(Path(), "run")
    assert repro(2, experiment=True, tmp_dir=True) == ["compare"]


def test_a_fresh_clone_takes_a_training_from_the_shared_remote(
    repro: Runner, tmp_path: Path
) -> None:
    from dvc.repo import Repo

    for lr in (1, 2):
        repro(lr)
        with Repo(".") as repo:
            repo.push(run_cache=True)  # sends the outputs of the current run only
    second = LOCK.read_bytes()
    ignored = shutil.ignore_patterns("cache", "tmp", "model", "metrics")
    clone = shutil.copytree(Path.cwd(), tmp_path / "clone", ignore=ignored)
    os.chdir(clone)  # monkeypatch.chdir of the fixture goes back
    with Repo(".") as repo:
        repo.pull(run_cache=True)
    assert repro(1, pull=True) == repro(2, pull=True) == ["compare"]
    assert LOCK.read_bytes() == second


def test_after_a_cut_lock_file_nothing_is_trained_again(repro: Runner) -> None:
    repro(1)
    whole = LOCK.read_text()
    for length in (0, len(whole) // 2, len(whole) - 3):
        LOCK.write_text(whole[:length])
        mend()
        assert repro(1) == ["compare"], length
        assert LOCK.read_text() == whole
