"""Copies of this repository in which tests may run commands."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from tests import warm_python

ROOT = Path(__file__).parents[1]
BIN = Path(sysconfig.get_path("scripts"))  # of new interpreters, also in a fork of a warm one
ENVIRONMENT = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def copy_project(folder: Path) -> None:
    """Makes a repository of the files that git has or would add here, without what was run.

    The guard, else half of a smoke run's time, gets a twentieth of its questions.
    """
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    for name in filter(None, subprocess.check_output(command, cwd=ROOT, text=True).split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shorten_questions(folder / "medtune/guard/questions")
    run(folder, "git", "init", "-q")
    run(folder, "git", "config", "user.name", "medtune")  # DVC asks for it too
    run(folder, "git", "config", "user.email", "medtune@example.org")
    commit_all(folder, "copy")
    run(folder, "git", "gc", "-q")  # one file to copy in place of a thousand


def shorten_questions(lists: Path, every: int = 20) -> None:
    """Keeps one question in `every` of the lists, and all words for their templates."""
    for path in lists.rglob("*.txt"):
        lines = path.read_text().splitlines()
        kept = [line for n, line in enumerate(lines) if n % every == 1 or " = " in line]
        path.write_text("\n".join(kept) + "\n")


def warm_environment() -> dict[str, str]:
    """The environment in which `python -m …`, `dvc` and `accelerate` start at once."""
    return ENVIRONMENT | {"PATH": f"{warm_python.folder()}{os.pathsep}{ENVIRONMENT['PATH']}"}


def attempt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder, which may fail."""
    warm = warm_python.COMMANDS.keys() & set(" ".join(command).split())
    environment = warm_environment() if warm else ENVIRONMENT
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder, which has to succeed."""
    done = attempt(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def commit_all(folder: Path, message: str) -> None:
    """Commits all files of a repository."""
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", message)
