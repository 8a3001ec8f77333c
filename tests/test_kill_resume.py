"""A killed training goes on by itself and ends with the bytes of one that was left alone."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.kill_resume import ENVIRONMENT, MOMENTS, ROOT, forget, run, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def report(project: Path) -> str:
    """What the benchmark prints; it leaves a project with the outputs of a training in it."""
    command = ("python", "-m", "benchmarks.kill_resume", "--kills", "21", "--folder", str(project))
    return run(ROOT, *command).stdout


@pytest.fixture(scope="module")
def expected(project: Path, report: str) -> dict[str, bytes]:
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


def test_twenty_kills_change_nothing(report: str) -> None:
    assert report.splitlines()[-1] == "21 kills; what differed: nothing"
    rows = re.findall(r"^\| (SIG\w+) \|(.*)\|$", report, re.MULTILINE)
    counts = {name: [int(count) for count in row.split("|")] for name, row in rows}
    assert counts.keys() == {"SIGINT", "SIGTERM", "SIGKILL"}
    assert all(sum(row) == 7 for row in counts.values())
    by_moment = dict(zip(MOMENTS, map(sum, zip(*counts.values(), strict=True)), strict=True))
    assert by_moment["writing a checkpoint"] > 0
    assert by_moment["writing outputs"] > 0


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
    assert f"train: checkpoint {newest.name} is skipped and removed: its files do not fit" in log
    assert f"train: going on from the checkpoint of step {int(newest.name[5:]) - 2}\n" in log
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
    assert "train: going on from the checkpoint of step " in log
    assert written(folder) == expected
    assert not list(checkpoints.glob("*/*/*"))
