"""What cannot be written ends in one line, damages nothing, and the next run is as always.

Every write of every stage, which takes long: python -m pytest tests/robustness/test_full_disk.py
--every-write
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medtune.guard.question_lists import LISTS
from tests.projects import ENVIRONMENT, ROOT, attempt, run
from tests.robustness.graph_kills import outputs

SOURCE = Path(__file__).with_name("failing_writes.c")
OWN_MOUNTS = ("unshare", "--map-root-user", "--mount", "sh", "-ec")  # undone when the command ends
SAMPLE = ("15", "clean")  # every fifteenth write


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The library whose functions take the place of the C library's."""
    if not sys.platform.startswith("linux") or not shutil.which("cc"):
        pytest.skip("needs Linux and cc")
    path = tmp_path / "failing_writes.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], check=True)
    return path


@pytest.fixture
def project(smoke: Path, tmp_path: Path) -> Path:
    return shutil.copytree(smoke, tmp_path / "project", symlinks=True)


def test_a_failed_write_ends_in_one_line_and_damages_nothing(
    project: Path, library: Path, request: pytest.FixtureRequest
) -> None:
    extent = SAMPLE
    if request.config.getoption("--every-write"):
        extent = ("1",)
        # The stages run with the code of this checkout, whose guard has all of its questions.
        shutil.copytree(LISTS, project / LISTS.relative_to(ROOT), dirs_exist_ok=True)
        run(project, "python", "-m", "stages.guard")
    command = [sys.executable, "-m", "tests.robustness.full_disk", project, library, *extent]
    environment = ENVIRONMENT | {"LD_PRELOAD": str(library)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print({name: (stage["writes"], stage["cases"]) for name, stage in found.items()})
    assert {name: stage["bad"] for name, stage in found.items() if stage["bad"]} == {}
    assert all(stage["cases"] > 1 for stage in found.values())


@pytest.mark.parametrize(
    ("mounts", "line"),
    [
        (
            "mount -t tmpfs -o size=8k tmpfs .dvc/cache",
            "ERROR: failed to reproduce 'clean': [Errno 28] No space left on device",
        ),
        (
            "mount --bind metrics metrics; mount -o remount,ro,bind metrics",
            "clean: the disk failed for metrics/.clean.json.partial (Read-only file system): "
            "check it and run this again",
        ),
    ],
    ids=["full cache disk", "read-only folder"],
)
def test_a_disk_that_takes_no_more_is_named_and_the_next_run_is_as_always(
    project: Path, mounts: str, line: str
) -> None:
    if attempt(project, *OWN_MOUNTS, "true").returncode:
        pytest.skip("needs Linux, and the right to mount in a namespace")
    expected = outputs(project)
    new = f"PATH={ENVIRONMENT['PATH']}"  # processes that see these mounts, no warm ones
    failed = attempt(project, "env", new, *OWN_MOUNTS, f"{mounts}; exec dvc repro -f -s clean")
    assert failed.returncode != 0 and "Traceback" not in failed.stderr
    assert line in failed.stderr.splitlines()
    run(project, "dvc", "repro", "clean")
    assert outputs(project) == expected
    run(project, "python", "-m", "medtune", "verify")
