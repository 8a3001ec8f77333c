"""Checks files that come from elsewhere: their names, permissions and size."""

import os
import shutil
from pathlib import Path, PurePosixPath

from medtune.runtime.errors import InputError

QUEUE = str(Path(".dvc/tmp/exps"))  # queued experiments run in copies of the project here
RESERVE_BYTES = 2**28  # left free for other programs


def list_files(folder: Path) -> list[Path]:
    """Returns every file below a folder, sorted; a link to a folder counts as a file.

    Raises InputError for a name that is not printable and for a folder that can't be read, which
    `Path.rglob` would skip silently.
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
    """Returns whether this runs in DVC's copy of the project, which has committed files only."""
    return f"{os.sep}{QUEUE}{os.sep}" in str(Path.cwd())


def expand_home(path: str) -> Path:
    """Expands `~`, but leaves it for an unknown user, where Path.expanduser would raise."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def check_member(source: object, name: str, target: str) -> None:
    """Raises InputError if the file `name` of `source` must not be written to `target`."""
    if ".." in PurePosixPath(target).parts or target.startswith("/") or "\\" in target:
        raise InputError(f"{source}: {name} would be written outside the folder: refused")
    check_name(source, target)


def check_name(source: object, name: str) -> None:
    """Raises InputError for a name with control characters or undecodable bytes."""
    if not name.isprintable():
        raise InputError(f"{source} has a file named {name!a}: rename it with printable characters")


def check_space(source: object, size_bytes: int, folder: Path) -> None:
    """Raises InputError if `size_bytes` more in `folder`, which must exist, would fill its disk."""
    free = shutil.disk_usage(folder).free
    if size_bytes > free - RESERVE_BYTES:
        raise InputError(
            f"{source} takes {size_bytes / 1e9:.2f} GB, but the disk has {free / 1e9:.2f} GB free: "
            "free some space or choose a smaller source"
        )
