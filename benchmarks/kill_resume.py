"""Kills trainings at random moments and compares what they end with: nothing may differ.

A training of the smoke preset is stopped with SIGINT, SIGTERM or SIGKILL and started again until it
ends. Then all that it wrote is compared, byte by byte, with what a training left alone has written.

    python -m benchmarks.kill_resume --kills 200
"""

import argparse
import importlib
import math
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
# Many checkpoints, and noise that a training which goes on must draw as if it had never stopped.
SETTINGS = {"num_train_epochs": 4, "save_steps": 2, "lora_dropout": 0.1, "neftune_noise_alpha": 5}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
BEFORE, BETWEEN = "before the first checkpoint", "between checkpoints"
CHECKPOINT, OUTPUTS = "writing a checkpoint", "writing outputs"
MOMENTS = (BEFORE, BETWEEN, CHECKPOINT, OUTPUTS)
LIBRARIES = (
    *("accelerate", "bitsandbytes", "peft", "pyarrow.parquet", "pydantic", "torch"),
    *("torch.distributed.tensor", "transformers.models.llama.modeling_llama"),
)


def copy_project(folder: Path) -> None:
    """Makes a repository of the files that git has or would add here, without what was run."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    for name in filter(None, subprocess.check_output(command, cwd=ROOT, text=True).split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    run(folder, "git", "init", "-q")
    run(folder, "git", "config", "user.name", "medtune")  # DVC asks for it too
    run(folder, "git", "config", "user.email", "medtune@example.org")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "copy")


def prepare(folder: Path) -> None:
    """Makes a project in which all is done up to training."""
    copy_project(folder)
    run(folder, "python", "-m", "medtune", "preset", "smoke")
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params["train"].update(SETTINGS)
    yaml.dump(params, folder / "params.yaml")
    run(folder, "dvc", "repro", "download", "tokenize")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder, which has to succeed."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def written(folder: Path) -> dict[str, bytes]:
    """All that a training leaves behind, unfinished files too, save for what it cost."""
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
    """Kills a training after some seconds, if there is an aim when it is next at that.

    Returns the moment that it was at, or None if it came to its end before.
    """
    since = time.time()
    while time.time() - since < delay_s or aim not in (None, moment(folder, since)):
        time.sleep(0.0005)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    os.kill(child, signal.SIGSTOP)  # so that what is looked at is what is killed
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
    """What a training that was started at that time is at, by what lies on the disk."""

    def any_since(since: float, *patterns: str) -> bool:
        paths = (path for pattern in patterns for path in folder.glob(pattern))
        try:
            return any(path.stat().st_mtime > since for path in paths)
        except FileNotFoundError:  # it was finished while it was looked at
            return False

    if any_since(since, "checkpoints/*/*/.step-*"):
        return CHECKPOINT
    if any_since(since, "models/adapter", "models/.adapter.*", "plots/train", "metrics/train.json"):
        return OUTPUTS
    return BETWEEN if any_since(0, "checkpoints/*/*/step-*") else BEFORE


def campaign(folder: Path, kills: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Kills trainings so many times; returns how often by what when, and which files differed."""
    forget(folder)
    run(folder, "python", "-m", "stages.train")
    expected = written(folder)
    for name in LIBRARIES:
        importlib.import_module(name)
    began = time.monotonic()
    kill(start(folder), folder, signal.SIGKILL, math.inf, None)
    duration_s = time.monotonic() - began
    chance = random.Random(seed)
    struck: Counter[tuple[str, str]] = Counter()
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
            struck[number.name, at] += 1
        found = written(folder)
        names = found.keys() | expected.keys()
        differing |= {name for name in names if found.get(name) != expected.get(name)}
        print(f"{struck.total()} kills, differing: {len(differing)} files", file=sys.stderr)
    return struck, sorted(differing)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_resume",
        description="Kills trainings at random moments and compares what they end with.",
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of signals and moments")
    parser.add_argument("--folder", type=Path, help="where to work, and to leave the project")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        if not (folder / "params.yaml").exists():
            prepare(folder)
        struck, differing = campaign(folder, arguments.kills, arguments.seed)
    print(f"| signal | {' | '.join(MOMENTS)} |")
    print("|---" * (len(MOMENTS) + 1) + "|")
    for number in SIGNALS:
        counts = " | ".join(str(struck[number.name, at]) for at in MOMENTS)
        print(f"| {number.name} | {counts} |")
    print(f"\n{struck.total()} kills; what differed: {', '.join(differing) or 'nothing'}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
