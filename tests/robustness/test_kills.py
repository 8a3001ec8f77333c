"""A killed training goes on by itself and ends with the bytes of one that was left alone.

A long run of an hour: python -m pytest tests/robustness/test_kills.py --kills 200 -s
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.projects import ENVIRONMENT, ROOT, run
from tests.robustness.kills import CHECKPOINT, OUTPUTS, SIGNALS, forget, prepare, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the outputs of a training that was left alone."""
    folder = tmp_path_factory.mktemp("project")
    prepare(smoke, folder)
    forget(folder)  # what the smoke run trained
    run(folder, "python", "-m", "stages.train")
    return folder


@pytest.fixture(scope="module")
def expected(project: Path) -> dict[str, bytes]:
    return written(project)


def kill_at_checkpoint(folder: Path, number: int, *command: str, checkpoints: Path) -> None:
    """Starts a command and kills all of its processes once there are two checkpoints."""
    process = subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while len(list(checkpoints.glob("*/*/step-*"))) < 2:
        assert process.poll() is None, f"{command} ended with code {process.returncode}"
        time.sleep(0.001)
    os.killpg(process.pid, number)
    assert process.wait() != 0


def test_killed_trainings_end_with_the_same_bytes(
    project: Path, expected: dict[str, bytes], request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--kills")
    command = ("python", "-m", "tests.robustness.kills", str(project), str(kills))
    found = json.loads(run(ROOT, *command).stdout)
    print(found)
    assert found["differing"] == [] and written(project) == expected
    struck = found["struck"]
    assert sum(struck.values()) == kills
    for number in SIGNALS:
        count = sum(count for name, count in struck.items() if name.startswith(number.name))
        assert count >= kills // len(SIGNALS)
    for moment in (CHECKPOINT, OUTPUTS):
        assert sum(count for name, count in struck.items() if name.endswith(moment)) > 0


def test_dvc_repro_goes_on_and_skips_a_damaged_checkpoint(
    project: Path, expected: dict[str, bytes]
) -> None:
    forget(project)
    for number in (signal.SIGINT, signal.SIGKILL):
        shutil.rmtree(project / "checkpoints", ignore_errors=True)
        kill_at_checkpoint(
            project, number, "dvc", "repro", "train", checkpoints=project / "checkpoints"
        )
    newest = max((project / "checkpoints").glob("*/*/step-*"))
    os.truncate(newest / "tensors.safetensors", 1000)
    log = run(project, "dvc", "repro", "train").stderr
    assert f"train: checkpoint {newest.name} is skipped and removed: its files do not match" in log
    assert f"train: resuming from the checkpoint of step {int(newest.name[5:]) - 2}\n" in log
    assert written(project) == expected


def test_a_queued_experiment_goes_on_in_another_folder(
    project: Path, expected: dict[str, bytes]
) -> None:
    checkpoints = project / "checkpoints"
    for name in ("one", "two"):
        folder = project / ".dvc/tmp/exps" / name
        shutil.copytree(project, folder, ignore=shutil.ignore_patterns(".dvc", ".git"))
        forget(folder)
        command = ("python", "-m", "stages.train")
        if name == "one":
            kill_at_checkpoint(folder, signal.SIGKILL, *command, checkpoints=checkpoints)
            shutil.rmtree(folder)
    log = run(folder, *command).stderr
    assert "train: resuming from the checkpoint of step " in log
    assert written(folder) == expected
    assert not list(checkpoints.glob("*/*/*"))
