"""A write that fails ends a stage in one line, damages nothing, and the next run is as always.

Every write of every stage, which takes long: python -m pytest tests/robustness/test_full_disk.py
--every-write
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import ENVIRONMENT, ROOT

SOURCE = Path(__file__).with_name("failing_writes.c")

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("cc"), reason="needs Linux and cc"
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The library whose functions take the place of the C library's."""
    path = tmp_path / "failing_writes.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], check=True)
    return path


def test_a_failed_write_ends_in_one_line_and_damages_nothing(
    smoke: Path, library: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--every-write"):
        pytest.skip("takes long: asked for with --every-write")
    project = shutil.copytree(smoke, tmp_path / "project", symlinks=True)
    command = [sys.executable, "-m", "tests.robustness.full_disk", project, library, "1"]
    environment = ENVIRONMENT | {"LD_PRELOAD": str(library)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print({name: (stage["writes"], stage["cases"]) for name, stage in found.items()})
    assert {name: stage["bad"] for name, stage in found.items() if stage["bad"]} == {}
    assert all(stage["cases"] > 1 for stage in found.values())
