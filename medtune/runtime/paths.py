"""Files that somebody else named or filled, and the room on the disk for them."""

import os
import shutil
from pathlib import Path, PurePosixPath

from medtune.runtime.errors import InputError

QUEUE = str(Path(".dvc/tmp/exps"))  # where DVC keeps the copies that queued experiments run in
RESERVE_BYTES = 2**28  # left to everybody else


def list_files(folder: Path) -> list[Path]:
    """Returns all below a folder that is no folder itself, links to folders included, sorted.

    Raises InputError for a name that is no printable text, and where a folder can't be read, which
    `Path.rglob` skips in silence.
    """
    found: list[Path] = []
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    check_name(folder, entry.name)
                    path = Path(entry.path)
                    (folders if entry.is_dir(follow_symlinks=False) else found).append(path)
        except OSError as error:
            raise InputError(
                f"{error.filename} can't be read ({error.strerror}): "
                "change its permissions or leave it out"
            ) from None
    return sorted(found)


def in_queued_experiment() -> bool:
    """Whether this runs in a copy of the project, which holds nothing that is not committed."""
    return f"{os.sep}{QUEUE}{os.sep}" in str(Path.cwd())


def expand_home(path: str) -> Path:
    """Fills in `~`; where there is no such user it stays, and Path.expanduser would raise."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def check_member(source: object, name: str, target: str) -> None:
    """Raises InputError where a file `name` of `source` may not become `target` of a folder."""
    if ".." in PurePosixPath(target).parts or target.startswith("/") or "\\" in target:
        raise InputError(f"{source}: {name} would be written outside the folder: refused")
    check_name(source, target)


def check_name(source: object, name: str) -> None:
    """Raises InputError for control characters and bytes that are no text."""
    if not name.isprintable():
        raise InputError(f"{source} holds a file named {name!a}: rename it to printable text")


def check_space(source: object, size_bytes: int, folder: Path) -> None:
    """Raises InputError where `size_bytes` more in `folder`, which exists, would fill its disk."""
    free = shutil.disk_usage(folder).free
    if size_bytes > free - RESERVE_BYTES:
        raise InputError(
            f"{source} takes {size_bytes / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free: "
            "make room, or choose a smaller source"
        )
