"""Room on the disk for what a source is about to write."""

import shutil
from pathlib import Path

from medtune.errors import InputError

RESERVE_BYTES = 2**28  # left to everybody else


def check_space(source: object, size_bytes: int, folder: Path) -> None:
    """Raises InputError where `size_bytes` more in `folder`, which exists, would fill its disk."""
    free = shutil.disk_usage(folder).free
    if size_bytes > free - RESERVE_BYTES:
        raise InputError(
            f"{source} takes {size_bytes / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free: "
            "make room, or choose a smaller source"
        )
