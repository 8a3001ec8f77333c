"""Finds the files of a run: those of the workspace, or those that a DVC experiment made."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.modeling.adapters import ADAPTER, FILES
from medtune.modeling.loading import BASE
from medtune.modeling.token_files import TOKENS
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE

LOCK = Path("dvc.lock")
RECORDED = ("download@model", "download@dataset", "train", "evaluate@finetuned")
TEST_CARDS = TOKENS / "test.arrow"


@contextmanager
def run_folder(experiment: str | None, revision: str) -> Iterator[Path]:
    """Yields a folder with the files of a run, laid out as in the project.

    It is the workspace, or a temporary copy of what is needed of a DVC experiment, a branch or a
    commit, whose hash is `revision`. Nothing is checked out: the files come from Git and from DVC's
    cache or remote.
    """
    if experiment is None:
        yield Path()
        return
    with TemporaryDirectory() as temporary:
        _copy_run(experiment, revision, Path(temporary))
        yield Path(temporary)


def read_run_params(root: Path) -> Params:
    """Reads params.yaml of a run, with the settings that dvc.lock records in place of edited ones.

    Taken from dvc.lock are the settings of the base model, the cards, the training and the answers.
    """
    content = read_yaml(root / PARAMS_FILE)
    stages = _locked_stages(root / LOCK)
    for name in RECORDED:
        recorded = stages.get(name, {}).get("params", {}).get(str(PARAMS_FILE), {})
        for key, value in recorded.items():
            *sections, last = key.split(".")
            reduce(operator.getitem, sections, content)[last] = value
    return validate(content)


def _copy_run(experiment: str, revision: str, folder: Path) -> None:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        files = DVCFileSystem(rev=revision)
        known = files.isfile(str(PARAMS_FILE))
    except DvcException:
        known = False
    if not known:
        raise InputError(f"{experiment} has no {PARAMS_FILE}: `dvc exp list` names the experiments")
    for path in (PARAMS_FILE, LOCK, *(ADAPTER / name for name in FILES)):
        _copy(files, path, folder, experiment)
    try:
        _copy(files, TEST_CARDS, folder, experiment)
    except InputError:  # they are only for a comparison
        (folder / TEST_CARDS).unlink(missing_ok=True)
    if _base_hash(folder / LOCK) == _base_hash(LOCK) and (BASE / "config.json").is_file():
        (folder / BASE).symlink_to(BASE.resolve())
    else:
        _copy(files, BASE, folder, experiment)


def _copy(files: Any, path: Path, folder: Path, experiment: str) -> None:
    from dvc.exceptions import DvcException

    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    try:
        files.get(str(path), str(folder / path), recursive=True)
    except (DvcException, FileNotFoundError):
        raise InputError(
            f"{path} of {experiment} is not in DVC's cache: for a branch or a commit, check it out "
            "and run `dvc fetch`; for an experiment, run `dvc exp pull GIT_REMOTE "
            f"{experiment}`"
        ) from None


def _base_hash(lock: Path) -> str | None:
    """Returns the hash of the base model that a run of the pipeline downloaded."""
    outputs = _locked_stages(lock).get("download@model", {}).get("outs", [])
    return next((output["md5"] for output in outputs if output["path"] == str(BASE)), None)


def _locked_stages(lock: Path) -> dict[str, Any]:
    return read_yaml(lock).get("stages", {}) if lock.is_file() else {}
