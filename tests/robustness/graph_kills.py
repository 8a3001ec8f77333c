"""Kills `dvc repro` of the smoke preset again and again on its way through the graph.

Each walk begins without outputs. At every stage, `dvc repro` is killed several times and started
again: at random moments, and while DVC writes dvc.lock or its list of files in use. Now and then a
second `dvc repro` starts beside it. After each end, `medtune verify --lock` mends what DVC was
writing, as `make` does. At the end of a walk, all outputs are compared with those of a run that was
left alone, and `medtune verify` hashes the cache.

    python -m tests.robustness.graph_kills PROJECT KILLS SEED [--stage STAGE] [--way WAY]

KILLS is their number at each stage. With the name of a stage, only this stage and those before it
run. With a way, all kills are of this kind.
"""

import argparse
import json
import logging
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import chdir, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from medtune.artifacts.lock_file import mend
from medtune.artifacts.verification import recorded_outputs
from tests.projects import ENVIRONMENT, run

WAYS = (
    ("SIGKILL to all", signal.SIGKILL, True),
    ("SIGKILL to DVC", signal.SIGKILL, False),
    ("SIGTERM to all", signal.SIGTERM, True),
    ("SIGINT to all", signal.SIGINT, True),
)
RUNNING, LOCK, IN_USE, SECOND = "running", "dvc.lock", ".dvc/tmp/rwlock", "second run"
AIMED = (SECOND, IN_USE, LOCK)  # in this order: what is in dvc.lock may not run again
PER_WALK = 8  # moments at each stage
STARTING = "before a stage"
LONGEST_S = 10.0
STARTED = re.compile(r"Running stage '(.+)'")
FAILURES = 20  # after that many, something is broken


@dataclass
class Tally:
    """Counts what has happened, most of it by stage."""

    kills: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)  # how second runs ended
    mended: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)  # runs that ended with an error by themselves
    differing: set[str] = field(default_factory=set)


class Mended(logging.Handler):
    """Counts what `mend` says that it has mended."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self.tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        self.tally.mended[record.getMessage().partition(" was ")[0]] += 1


class Repro:
    """A running `dvc repro` in a new session."""

    def __init__(self, project: Path, target: str, log: str = "repro.log") -> None:
        self.log = project / log
        self.offset = self.log.stat().st_size if self.log.exists() else 0
        self.killed = False
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                ["dvc", "repro", *filter(None, [target])],
                cwd=project,
                env=ENVIRONMENT,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_bytes()[self.offset :].decode(errors="replace")

    def stage(self) -> str:
        """Returns the stage that was started last."""
        return [STARTING, *STARTED.findall(self.said())][-1]

    def wait_in(self, stages: Container[str], seconds: float = math.inf) -> None:
        """Waits until another stage runs, the seconds are over, or the run ends."""
        end = time.monotonic() + seconds
        while self.is_running() and time.monotonic() < end and self.stage() in stages:
            time.sleep(0.01)

    def wait_for_change(self, path: Path) -> None:
        """Waits until a file is written, or the run ends."""
        before = _stamp(path)
        while self.is_running() and _stamp(path) == before:
            time.sleep(0.0002)

    def kill(self, number: int, everybody: bool) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(self.process.pid, number) if everybody else self.process.send_signal(number)
        self.killed = self.process.wait() != 0


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


@dataclass
class Walk:
    """One way through the graph: `plan` has the moments that are left at each stage."""

    project: Path
    target: str
    ways: Iterator[tuple[str, int, bool]]
    at_risk_s: Mapping[str, float]  # of each stage
    plan: dict[str, list[str]]
    chance: random.Random
    tally: Tally

    def go(self) -> None:
        """Begins without outputs, and starts `dvc repro` until it is done."""
        forget(self.project)
        code = -1
        while code:
            repro = Repro(self.project, self.target)
            while repro.is_running():
                self.wait(repro)
                if repro.is_running():
                    self.disturb(repro)
            code = repro.process.returncode
            if code and not repro.killed:
                self.tally.failed.append(f"{repro.stage()}: {repro.said()[-2000:]}")
                assert len(self.tally.failed) <= FAILURES, self.tally.failed[-1]
            self.mend()

    def wait(self, repro: Repro) -> None:
        """Waits for a stage with a moment left; a start seldom counts, since every run has one."""
        done = [stage for stage, left in self.plan.items() if not left]
        if self.chance.random() > 0.1 and STARTING not in done:
            done.append(STARTING)
        repro.wait_in(done)

    def disturb(self, repro: Repro) -> None:
        """Kills the run at the next moment of its stage, or starts a second one beside it."""
        stage = repro.stage()
        if not self.plan[stage]:  # it has begun since
            return
        moment = self.plan[stage].pop(0)
        if moment in (LOCK, IN_USE):
            repro.wait_for_change(self.project / moment)
        else:
            repro.wait_in([stage], self.chance.uniform(0, self.at_risk_s[stage]))
        if moment == SECOND:
            self.tally.seconds[f"{stage}: {self.second_run()}"] += 1
            return
        name, number, everybody = next(self.ways)
        repro.kill(number, everybody)
        if repro.killed:
            self.tally.kills[f"{repro.stage()}: {name}: {moment}"] += 1
            print(f"{repro.stage()}: {name}: {moment}", file=sys.stderr, flush=True)

    def second_run(self) -> str:
        """Returns how a run ended that was started while another one goes on."""
        second = Repro(self.project, self.target, "second.log")
        if second.process.wait() == 0:
            return "done"
        return "refused" if "is busy" in second.said() else second.said()[-2000:]

    def mend(self) -> None:
        """Does what `medtune verify --lock` does, without the seconds of its start."""
        with chdir(self.project):
            mend(thorough=True)


def moments(stage: str, count: int) -> list[str]:
    aimed = AIMED[max(0, len(AIMED) + 1 - count) :] if stage != STARTING else ()
    return [RUNNING] * (count - len(aimed)) + list(aimed)


def durations(project: Path, target: str) -> dict[str, float]:
    """Returns for how many seconds each stage is at risk; runs the graph once, undisturbed."""
    forget(project)
    repro, found = Repro(project, target), {}
    while repro.is_running():
        stage, begun = repro.stage(), time.monotonic()
        repro.wait_in([stage])
        found[stage] = min(time.monotonic() - begun, LONGEST_S)
    assert repro.process.returncode == 0, repro.said()[-2000:]
    return found


def outputs(project: Path) -> dict[str, bytes]:
    """Returns all recorded outputs by file, except the costs."""
    found = {}
    for output in recorded_outputs(project):
        top = project / output.path
        for file in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if file.is_file() and not file.name.endswith("_cost.json"):
                found[str(file.relative_to(project))] = file.read_bytes()
    return found


def forget(project: Path) -> None:
    """Removes all outputs, and everything that DVC knows of them."""
    for output in recorded_outputs(project):
        path = project / output.path
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in (".dvc/cache", ".dvc/tmp", "checkpoints"):
        shutil.rmtree(project / name, ignore_errors=True)
    (project / "dvc.lock").unlink()


def kill_repeatedly(
    project: Path,
    times: int,
    seed: int = 0,
    target: str = "",
    ways: Sequence[tuple[str, int, bool]] = WAYS,
) -> Tally:
    """Kills at each stage that many times, in as few walks as that takes."""
    expected, tally = outputs(project), Tally()
    logging.getLogger("medtune").addHandler(Mended(tally))
    at_risk_s, ways_in_turn, chance = durations(project, target), cycle(ways), random.Random(seed)
    for begun in range(0, times, PER_WALK):
        plan = {stage: moments(stage, min(PER_WALK, times - begun)) for stage in at_risk_s}
        Walk(project, target, ways_in_turn, at_risk_s, plan, chance, tally).go()
        found = outputs(project)
        names = found.keys() | (set() if target else expected.keys())
        tally.differing |= {name for name in names if found.get(name) != expected.get(name)}
        run(project, sys.executable, "-m", "medtune", "verify")
    return tally


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("kills", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--stage", default="")
    parser.add_argument("--way", choices=[name for name, *_ in WAYS])
    args = parser.parse_args()
    chosen = [way for way in WAYS if args.way in (None, way[0])]
    tally = kill_repeatedly(args.project, args.kills, args.seed, args.stage, chosen)
    print(json.dumps(vars(tally) | {"differing": sorted(tally.differing)}))
