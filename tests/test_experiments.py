"""What real DVC experiments say of settings that cannot work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from medtune.runtime.params_file import UNDO
from tests.projects import attempt, commit_all, copy_project, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the smoke preset in its last commit, all run up to the cards."""
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    run(folder, "python", "-m", "medtune", "preset", "smoke")
    run(folder, "dvc", "repro", "-q", "clean")
    commit_all(folder, "smoke")
    return folder


@pytest.fixture
def project(clone: Path) -> Iterator[Path]:
    (clone / "mine.csv").write_text("front,back\nWhat is gout?,A disease of joints.\n")
    yield clone
    run(clone, "git", "reset", "-q", "--hard")


def refusal(folder: Path, *settings: str, options: tuple[str, ...] = ()) -> str:
    """What the stage says that refuses an experiment with these settings."""
    changes = [word for setting in settings for word in ("-S", setting)]
    failed = attempt(folder, "dvc", "exp", "run", *options, *changes, "clean")
    assert failed.returncode != 0
    lines = (failed.stdout + failed.stderr).splitlines()
    said = [line for line in lines if line.startswith(("clean: ", "download_dataset: "))]
    return [line for line in said if "brings them back" not in line][-1]


def test_a_refused_value_stays_in_params_and_the_message_undoes_it(project: Path) -> None:
    said = refusal(project, "clean.max_unreadable_share=2")
    assert "max_unreadable_share must be less than or equal to 1, got 2 (params.yaml); " in said
    (remedy,) = said.split("`")[1::2]
    assert "max_unreadable_share: 2 " in (project / "params.yaml").read_text()
    run(project, *remedy.split())
    assert run(project, "git", "status", "--porcelain", "params.yaml").stdout == ""


def test_the_mapping_that_the_message_writes_works(project: Path) -> None:
    source = "download.dataset=file://mine.csv"
    said = refusal(project, source, "clean.columns={question: front, answer: back}")
    columns = said.rpartition("write ")[2]
    columns = columns.removesuffix(f"; {UNDO}")
    assert columns == "clean.columns={question: front, answer: back, kind: null, topic: null}"
    run(project, "dvc", "exp", "run", "-S", source, "-S", columns, "clean")


def test_an_uncommitted_file_is_not_in_the_copy_of_the_project(project: Path) -> None:
    (project / "new.csv").write_text("question,answer\nWhat is gout?,A disease of joints.\n")
    said = refusal(project, "download.dataset=file://new.csv", options=("--temp",))
    assert "commit the file, or give its absolute path" in said
