"""Runs stages as a user does, each case in a separate process, and measures time and memory."""

import importlib
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

TIME_LIMIT_S = 60  # seconds are lost where many tests run at once
ADDRESS_SPACE_BYTES = 8 * 2**30  # stops what would otherwise take the whole machine
COMMANDS = {
    "download": ("download", "dataset"),
    "clean": ("clean",),
    "split": ("split",),
    "tokenize": ("tokenize",),
}
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "tests.robustness.stage_runner",
        *(f"stages.{name}" for name in COMMANDS),
        "transformers.models.auto.tokenization_auto",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """`lines` is standard error; `extra_mib` is memory beyond that of an idle process."""

    code: int | None
    lines: list[str]
    elapsed_s: float
    extra_mib: float


def run_stages(project: Path, stages: Sequence[str]) -> Outcome:
    """Runs the stages one after the other in the folder `project`, until one fails."""
    process = PROCESSES.Process(target=_work, args=(project, stages))
    start = time.perf_counter()
    process.start()
    process.join(TIME_LIMIT_S)
    elapsed_s = time.perf_counter() - start
    if process.exitcode is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.join()
    peak = project / "extra_mib"
    extra_mib = float(peak.read_text()) if peak.exists() else float("inf")
    lines = (project / "stderr").read_text(encoding="utf-8", errors="replace").splitlines()
    return Outcome(process.exitcode, lines, elapsed_s, extra_mib)


def _work(project: Path, stages: Sequence[str]) -> None:
    os.chdir(project)
    os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT), 2)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    idle_bytes = psutil.Process().memory_info().rss
    try:
        for name in stages:
            _run_stage(name)
    finally:
        users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        peak_bytes = max(resource.getrusage(user).ru_maxrss for user in users) * 1024
        Path("extra_mib").write_text(str((peak_bytes - idle_bytes) / 2**20))


def _run_stage(name: str) -> None:
    from medtune.runtime.stage import run

    sys.argv = list(COMMANDS[name])
    try:
        run("_".join(sys.argv), importlib.import_module(f"stages.{name}").main)
    except SystemExit as exit_:
        if exit_.code:
            raise
