"""The wheel: what it holds, and the command line of a machine that has nothing else."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.projects import ROOT, attempt, copy_project, run

IN_A_WHEEL = (".css", ".html", ".jinja", ".js", ".py", ".toml", ".txt")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy of the clone, since setuptools leaves a folder build/ behind."""
    clone, built = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("built")
    copy_project(clone)
    (clone / "app/web/dist/assets").mkdir(parents=True)
    (clone / "app/web/dist/assets/index.js").touch()
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps", "--no-build-isolation"]
    run(clone, *pip, "--wheel-dir", str(built), str(clone))
    (path,) = built.glob("medtune-*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_two_packages_with_their_files(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in held} == {"app", "medtune"}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("app", "medtune")
        for path in (ROOT / package).rglob("*")
        if path.suffix in IN_A_WHEEL and "app/web/" not in path.as_posix()
    }
    assert {
        "medtune/guard/patterns/emergency.toml",
        "medtune/report/templates/page.html.jinja",
    } < wanted
    assert held == wanted | {"app/web/dist/assets/index.js"}


def test_the_installed_command_line_has_the_chat(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "installed")

    def medtune(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = f"PYTHONPATH={tmp_path / 'installed'}"
        return attempt(tmp_path, "env", path, sys.executable, "-m", "medtune", *arguments)

    assert "\n  chat         Serve both models with a chat page and" in medtune("--help").stdout
    assert "--cors-origin" in medtune("chat", "--help").stdout
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert medtune("--version").stdout == version + "\n"
