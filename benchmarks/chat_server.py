"""`medtune chat` as a process of its own, for as long as a benchmark needs it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from medtune.runtime.errors import InputError

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    address: str
    pid: int

    def memory_gib(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 2**30


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Server]:
    """Starts the server in a project's folder, on a free port of the loopback interface."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://\S+?:\d+", said)
            if not found:
                raise InputError("the server did not start: see its error above")
            yield Server(found[0], process.pid)
        finally:
            process.terminate()
