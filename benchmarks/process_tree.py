"""Time and memory of a command and of all processes that it starts (Linux)."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from medtune.runtime.errors import InputError

SAMPLE_S = 0.1
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class Cost(NamedTuple):
    seconds: float
    peak_memory_gib: float
    output: str


def run(command: Sequence[str], folder: Path, variables: Mapping[str, str] | None = None) -> Cost:
    """Runs a command in a folder; raises InputError with its last line if it fails.

    Peak memory is the largest sum over the tree, sampled ten times a second, of the processes'
    proportional set sizes: a page that several share counts once, pages of mapped files count too.
    It is never less than the largest resident set of any one process, which needs no sampling.
    """
    memory = [0]
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stopped = threading.Event()
    sampler = threading.Thread(target=_sample, args=(process.pid, memory, stopped), daemon=True)
    sampler.start()
    try:
        output, errors = process.communicate()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        seconds = time.perf_counter() - start
        stopped.set()
        sampler.join()
    if process.returncode:
        last = errors.strip().rpartition("\n")[2]
        raise InputError(f"{' '.join(command[1:])} ended with code {process.returncode}: {last}")
    return Cost(seconds, memory[0] * 1024 / 2**30, output)


def _sample(pid: int, memory: list[int], stopped: threading.Event) -> None:
    while not stopped.wait(SAMPLE_S):
        tree = _tree(pid)
        shared = sum(_kib(process, "smaps_rollup", PSS) for process in tree)
        memory[0] = max(memory[0], shared, *(_kib(process, "status", PEAK) for process in tree))


def _tree(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return [pid]


def _kib(pid: int, file: str, pattern: re.Pattern[str]) -> int:
    """A figure of /proc, 0 for a process that has ended."""
    try:
        found = pattern.search(Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8"))
    except OSError:
        return 0
    return int(found[1]) if found else 0
