"""Kills trainings of the smoke preset at random moments, and reports what they were doing.

It runs as a separate process, because it forks: python -m tests.robustness.kills FOLDER KILLS
"""

import json
import math
import os
import random
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.warm_python import LIBRARIES

# Many checkpoints, and noise that a training which goes on must draw as if it had never stopped.
SETTINGS = {"num_train_epochs": 3, "save_steps": 2, "lora_dropout": 0.1, "neftune_noise_alpha": 5}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
BEFORE, BETWEEN = "before the first checkpoint", "between checkpoints"
CHECKPOINT, OUTPUTS = "writing a checkpoint", "writing outputs"


def prepare(smoke: Path, folder: Path) -> None:
    """Copies the smoke run, with training settings that differ from its own."""
    shutil.copytree(smoke, folder, symlinks=True, dirs_exist_ok=True)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params["train"].update(SETTINGS)
    yaml.dump(params, folder / "params.yaml")


def written(folder: Path) -> dict[str, bytes]:
    """Returns all files that a training leaves, also unfinished ones, except its costs."""
    places = (folder / name for name in ("checkpoints", "metrics", "models", "plots"))
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    ignored = (".lock", ".gitignore")
    kept = (path for path in files if path.name not in ignored and "_cost." not in path.name)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def forget(folder: Path) -> None:
    """Removes what a training has written."""
    for name in ("checkpoints", "models/adapter", "plots/train"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "metrics/train.json").unlink(missing_ok=True)


def kill_repeatedly(folder: Path, kills: int) -> tuple[Counter[str], set[str]]:
    """Kills and restarts trainings; counts the kills by signal and moment, names what differed.

    The folder holds the outputs of a training that was left alone.
    """
    expected = written(folder)
    for name in LIBRARIES:
        import_module(name)
    began = time.monotonic()
    kill(start(folder), folder, signal.SIGKILL, math.inf, None)
    duration_s = time.monotonic() - began
    chance = random.Random(0)
    struck: Counter[str] = Counter()
    differing: set[str] = set()
    while struck.total() < kills:
        forget(folder)
        while True:
            number = SIGNALS[struck.total() % len(SIGNALS)]
            delay_s = chance.uniform(0, 0.7 * duration_s) if struck.total() < kills else math.inf
            aim = chance.choice((None, CHECKPOINT, OUTPUTS))
            at = kill(start(folder), folder, number, delay_s, aim)
            if at is None:
                break
            struck[f"{number.name} {at}"] += 1
        found = written(folder)
        names = found.keys() | expected.keys()
        differing |= {name for name in names if found.get(name) != expected.get(name)}
    return struck, differing


def start(folder: Path) -> int:
    """Does what `python -m stages.train` does there, in a child of this process; returns its id.

    The child has the libraries from this process, which saves the seconds of importing them.
    """
    child = os.fork()
    if child:
        return child
    code: Any = 1
    try:
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
        sys.argv = ["stages.train"]
        with Path("train.log").open("a", buffering=1, encoding="utf-8") as sys.stderr:
            runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)  # never back into the parent's code


def kill(child: int, folder: Path, number: int, delay_s: float, aim: str | None) -> str | None:
    """Kills a training after some seconds or, with an aim, at the next such moment after them.

    Returns the moment at which it was killed, or None if it ended before.
    """
    since = time.time()
    while time.time() - since < delay_s or aim not in (None, moment(folder, since)):
        time.sleep(0.0005)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    os.kill(child, signal.SIGSTOP)  # so that it does nothing more before it is killed
    _, status = os.waitpid(child, os.WUNTRACED)
    found = moment(folder, since)
    if not os.WIFSTOPPED(status):
        assert status == 0, (folder / "train.log").read_text(encoding="utf-8")[-2000:]
        return None
    os.kill(child, number)
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
    return found if status else None


def moment(folder: Path, since: float) -> str:
    """Tells from the files what a training that started at that time is doing."""

    def any_since(since: float, *patterns: str) -> bool:
        paths = (path for pattern in patterns for path in folder.glob(pattern))
        try:
            return any(path.stat().st_mtime > since for path in paths)
        except FileNotFoundError:  # the training has just renamed or removed it
            return False

    if any_since(since, "checkpoints/*/*/.step-*"):
        return CHECKPOINT
    if any_since(since, "models/adapter", "models/.adapter.*", "plots/train", "metrics/train.json"):
        return OUTPUTS
    return BETWEEN if any_since(0, "checkpoints/*/*/step-*") else BEFORE


if __name__ == "__main__":
    struck, differing = kill_repeatedly(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({"struck": struck, "differing": sorted(differing)}))
