"""Kills `dvc repro` of the smoke preset at random moments until it is done, and begins anew.

After each kill, `medtune verify --lock` mends what DVC was writing, as `make` does, and the next
`dvc repro` goes on.

    python -m tests.robustness.graph_kills PROJECT KILLS LONGEST_S [STAGE]

LONGEST_S is the time from the start of `dvc repro` to the latest kill. With the name of a stage,
only this stage and those before it run.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from medtune.artifacts.damage import recorded_outputs
from tests.projects import ENVIRONMENT, attempt

WAYS = (
    ("SIGKILL to all", signal.SIGKILL, True),
    ("SIGKILL to DVC", signal.SIGKILL, False),
    ("SIGTERM to all", signal.SIGTERM, True),
    ("SIGINT to all", signal.SIGINT, True),
)
STARTED = re.compile(r"Running stage '(.+)'")


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


def kill(project: Path, target: str, way: int, after_s: float) -> tuple[str, str]:
    """Kills a run after some seconds; returns how it ended, and the stage that was running.

    A run that was not killed is `done`, or `failed` if DVC was killed before without its stage,
    which still wrote the same files.
    """
    name, number, everybody = WAYS[way % len(WAYS)]
    with (project / "repro.log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["dvc", "repro", *target.split()],
            cwd=project,
            env=ENVIRONMENT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            name = "failed" if process.wait(after_s) else "done"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, number) if everybody else process.send_signal(number)
            name = name if process.wait() else "done"
        log.seek(0)
        started = STARTED.findall(log.read())
    return name, started[-1] if started else "before a stage"


def kill_repeatedly(
    project: Path, kills: int, longest_s: float, target: str = ""
) -> dict[str, object]:
    """Returns the kills by way and stage, the files that were mended, and those that differ."""
    expected, chance = outputs(project), random.Random(0)
    struck: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    differing: set[str] = set()
    while struck.total() < kills:
        forget(project)
        end = ""
        while end != "done":
            after_s = chance.uniform(0.5, longest_s) if struck.total() < kills else 3600.0
            end, stage = kill(project, target, struck.total(), after_s)
            if end == "failed":
                failed[stage] += 1
                print((project / "repro.log").read_text("utf-8")[-2000:], file=sys.stderr)
                assert failed.total() <= kills
            elif end != "done":
                struck[f"{end}: {stage}"] += 1
                print(f"{end}: {stage}", file=sys.stderr, flush=True)
            said = attempt(project, "python", "-m", "medtune", "verify", "--lock")
            assert said.returncode == 0, said.stderr
            mended.update(line.partition(" was ")[0] for line in said.stderr.splitlines())
        found = outputs(project)
        names = found.keys() | (set() if target else expected.keys())
        differing |= {name for name in names if found.get(name) != expected.get(name)}
        print(f"{struck.total()} kills, {len(differing)} files differ", file=sys.stderr, flush=True)
    return {
        "struck": struck,
        "failed": failed,
        "mended": mended,
        "differing": sorted(differing),
    }


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    folder, kills, longest_s, *names = sys.argv[1:]
    print(json.dumps(kill_repeatedly(Path(folder), int(kills), float(longest_s), *names)))
