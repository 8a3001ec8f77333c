"""Finds files that are not what dvc.lock records, in the workspace and in DVC's cache."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medtune.artifacts.hashes import Hasher, files_of, folder_hash, md5_of, remembering
from medtune.artifacts.lock_file import LOCK, recorded_files
from medtune.runtime import dvc_cache
from medtune.runtime.dvc_cache import object_path
from medtune.runtime.errors import InputError
from medtune.runtime.progress import progress

IN_A_COPY = "run medtune verify, which names the damaged file and how to restore it"
OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")


@dataclass(frozen=True)
class Output:
    """What dvc.lock records of an output: its path, and the hash of the file or folder."""

    path: Path
    md5: str

    @property
    def is_folder(self) -> bool:
        return self.md5.endswith(".dir")


def recorded_outputs(root: Path = Path()) -> list[Output]:
    """Returns the outputs that dvc.lock records, none if there is no dvc.lock."""
    if not (root / LOCK).is_file():
        return []
    text = (root / LOCK).read_text(encoding="utf-8", errors="replace")
    return [Output(Path(path), md5) for path, md5 in recorded_files(text)]


def check_recorded(*paths: str | Path, root: Path = Path()) -> None:
    """Raises InputError for the first output in one of `paths` that is not what dvc.lock records.

    `root` may be a copy of an experiment, made of files from DVC's cache and the workspace. An
    output that is missing or not recorded passes: who reads it says what is missing.
    """
    for output in recorded_outputs(root):
        read = any(output.path.is_relative_to(path) for path in paths)
        if read and (root / output.path).exists():
            for name in differing_files(output, remembering, root):
                advice = remedy(output) if root == Path() else IN_A_COPY
                raise InputError(f"{name} is not what {LOCK} recorded: {advice}")


def remedy(output: Output) -> str:
    """Returns the command that restores an output, also if DVC's cache does not have it."""
    if not object_path(output.md5).is_file():
        return "run dvc repro"
    return f"run rm -r {output.path} and dvc checkout {output.path}, or dvc repro"


def differing_files(output: Output, hasher: Hasher = md5_of, root: Path = Path()) -> list[Path]:
    """Returns the files of an output that are not what dvc.lock records.

    It is the folder itself if DVC's cache does not say which of its files differ.
    """
    path = root / output.path
    if not output.is_folder:
        return [] if path.is_file() and hasher(path) == output.md5 else [output.path]
    if not path.is_dir():
        return [output.path]
    found = files_of(path, hasher)
    if folder_hash(found) == output.md5:
        return []
    expected = _listed(object_path(output.md5))
    names = sorted(found.keys() | expected.keys()) if expected else []
    return [output.path / name for name in names if found.get(name) != expected.get(name)] or [
        output.path
    ]


def _listed(list_object: Path) -> dict[str, str]:
    """Returns the files of a folder as DVC's cache lists them; none if the list is damaged."""
    if not list_object.is_file() or md5_of(list_object) != _object_hash(list_object):
        return {}
    return {file["relpath"]: file["md5"] for file in json.loads(list_object.read_bytes())}


def _object_hash(path: Path) -> str:
    """Returns the hash that an object's name says, without `.dir`."""
    return (path.parent.name + path.name).removesuffix(".dir")


def damaged_outputs(outputs: Sequence[Output]) -> Iterator[str]:
    """Yields a line with its remedy for every file that is missing or differs, all hashed anew."""
    with progress(outputs, unit="output", description="workspace") as bar:
        for output in bar:
            if not output.path.exists():
                cached = object_path(output.md5).is_file()
                restore = f"dvc checkout {output.path}, or " if cached else ""
                yield f"{output.path} is missing: run {restore}dvc repro"
                continue
            for name in differing_files(output):
                yield f"{name} is not what {LOCK} recorded: {remedy(output)}"


def damaged_objects(outputs: Sequence[Output]) -> Iterator[str]:
    """Yields a line with its remedy for every damaged file in DVC's cache."""
    owners = {output.md5: output for output in outputs}
    for output in outputs:
        if output.is_folder:
            owners |= dict.fromkeys(_listed(object_path(output.md5)).values(), output)
    found = dvc_cache.objects().glob("[0-9a-f][0-9a-f]/*")
    paths = sorted(path for path in found if path.is_file())
    with progress(paths, unit="file", description="cache") as bar:
        for path in bar:
            if not OBJECT.fullmatch(path.name) or md5_of(path) == _object_hash(path):
                continue  # a temporary file of DVC, or an intact one
            owner = owners.get(path.parent.name + path.name)
            source = f"dvc commit {owner.path}" if owner else "dvc fetch --all-commits"
            shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            yield f"{shown} is damaged: run rm -f {shown} and {source}, or dvc repro makes it again"
