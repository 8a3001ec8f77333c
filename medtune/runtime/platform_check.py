"""Refuses platforms on which medtune cannot run."""

import sys


def refuse_windows() -> None:
    """Ends the process on Windows, which has no `fcntl` and no `resource`."""
    if sys.platform == "win32":
        sys.exit("medtune runs on Linux and macOS; on Windows, run it in WSL")
