"""Where DVC's cache has a file."""

import subprocess
import sys
from functools import cache
from pathlib import Path


@cache
def objects() -> Path:
    """Returns the folder of the files in DVC's cache, wherever DVC's settings put it."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip() or ".dvc/cache") / "files/md5"


def object_path(md5: str) -> Path:
    return objects() / md5[:2] / md5[2:]
