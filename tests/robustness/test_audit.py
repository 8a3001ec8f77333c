"""A stage touches what dvc.yaml declares and nothing else, as strace sees it.

All stages, in some minutes: make audit
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.robustness.audit import audit, stages


def traces() -> bool:
    """Returns whether strace is installed and may trace, which some containers forbid."""
    if not shutil.which("strace"):
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


pytestmark = pytest.mark.skipif(not traces(), reason="needs strace")

PLANTED = """
import socket
Path("data/raw/smoke_cards.csv").read_bytes()
Path("notes.txt").write_text("x")
Path("metrics/clean.json").rename("metrics/other.json")
socket.socket().connect_ex(("127.0.0.1", 9))

if __name__"""


@pytest.fixture
def project(smoke: Path, tmp_path: Path) -> Path:
    return shutil.copytree(smoke, tmp_path / "project", symlinks=True)


def test_a_stage_touches_what_it_declares(project: Path) -> None:
    assert audit(project, stages(project)["split"]) == []


def test_what_a_stage_does_not_declare_is_named(project: Path) -> None:
    code = project / "stages/split.py"
    code.write_text(code.read_text().replace("\nif __name__", PLANTED))
    address = 'sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16'
    assert audit(project, stages(project)["split"]) == [
        f"connects to sa_family=AF_INET, {address}",
        "reads data/raw/smoke_cards.csv",
        "writes metrics/clean.json",
        "writes metrics/other.json",
        "writes notes.txt",
    ]
