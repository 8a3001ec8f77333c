"""Fetches a source into a folder of a test, and says what came or why nothing did."""

from pathlib import Path

import pytest

from medtune.runtime.errors import InputError
from medtune.sources.fetch import Target, fetch


def tree(folder: Path) -> dict[str, bytes]:
    """The contents of all files below a folder, by their paths in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def fetched(uri: str, tmp_path: Path, target: Target = "dataset") -> dict[str, bytes]:
    fetch(uri, target, tmp_path / "out")
    return tree(tmp_path / "out")


def message(uri: str, tmp_path: Path, target: Target = "dataset") -> str:
    """The one line with which a source is refused."""
    with pytest.raises(InputError) as caught:
        fetch(uri, target, tmp_path / "out")
    assert "\n" not in str(caught.value)
    return str(caught.value)
