"""Compares the speed of training with other trainers on the same cards.

In each round every arm trains one epoch in its own process, in rotating order. Useful tokens
are the tokens of the cards without padding. Reads data/tokens/ and models/base/; prints a table.

    python -m benchmarks.train
    python -m benchmarks.train --arms ours,hf_dynamic --cards 48 --rounds 1
"""

import argparse
import importlib.util
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measured import compare, show
from benchmarks.trainers import ARMS, Job, gpu
from medtune.modeling.loading import BASE, require
from medtune.modeling.token_files import TOKENS
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

GNU_SPINS = "300000"  # its default if the threads have all cores


def check_arms(names: list[str], litgpt_python: str | None) -> None:
    for name in names:
        if name not in ARMS:
            known = ", ".join(ARMS)
            raise InputError(f"--arms names {name!r}, which is unknown: choose from {known}")
        needs = ARMS[name].needs
        if needs == "litgpt":
            if litgpt_python is None:
                raise InputError("the arm litgpt needs --litgpt-python: see docs/benchmarks.md")
        elif needs and importlib.util.find_spec(needs) is None:
            raise InputError(
                f"the arm {name} needs {needs}, which is not installed: "
                "pip install -r benchmarks/requirements.txt"
            )


def run(python: str, job: Job) -> dict[str, float]:
    """Trains one arm once, in its own process."""
    environment = os.environ | {"OMP_NUM_THREADS": str(job.threads), "HF_HUB_OFFLINE": "1"}
    if job.arm != "ours":  # their threads wait as those of GNU's OpenMP do by themselves
        environment |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": GNU_SPINS}
    command = [python, "-m", "benchmarks.trainers", job.to_json()]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(f"the arm {job.arm} stopped: see its error above")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(jobs: list[Job], rounds: int, pythons: dict[str, str]) -> pd.DataFrame:
    """Returns a row for each arm and round; in each round another arm begins."""
    rows = []
    for number in range(rounds):
        shift = number % len(jobs)
        for job in jobs[shift:] + jobs[:shift]:
            result = run(pythons.get(job.arm, sys.executable), job)
            rows.append({"round": number, "arm": ARMS[job.arm].title, **result})
            logger.info(f"round {number + 1}: {job.arm} {result['tokens_per_s']:.0f} tokens/s")
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    table, arms = compare(rows), rows.groupby("arm")
    table["peak memory"] = arms["peak_memory_gib"].max().map("{:.2f} GiB".format)
    table["validation loss"] = arms["validation_loss"].median().map("{:.3f}".format)
    return table


def main() -> None:
    options = parser().parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        names = options.arms or [name for name in ARMS if _usual(name, options.litgpt_python)]
        names = [*dict.fromkeys([*names, "ours"])]
        check_arms(names, options.litgpt_python)
        require(options.model / "config.json", "download@model")
        require(options.tokens / "train.arrow", "tokenize")
        shared = (str(options.model), str(options.tokens), options.cards, options.threads)
        pythons = {"litgpt": options.litgpt_python} if options.litgpt_python else {}
        rows = measure([Job(name, *shared) for name in names], options.rounds, pythons)
        packages = ("torch", "transformers", "peft")
        show(summary(rows), *packages, output=options.output, rows=rows)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = made.add_argument
    add("--arms", type=lambda text: text.split(","), help=f"some of {', '.join(ARMS)}")
    add("--cards", type=int, default=192, help="training cards, drawn by the seed")
    add("--rounds", type=int, default=3, help="runs of each arm")
    add("--threads", type=int, default=os.cpu_count())
    add("--model", type=Path, default=BASE, help="folder of the model")
    add("--tokens", type=Path, default=TOKENS, help="folder of train.arrow and validation.arrow")
    add("--litgpt-python", help="a Python interpreter that has litgpt")
    add("--output", type=Path, help="a CSV file for the result of each run")
    return made


def _usual(arm: str, litgpt_python: str | None) -> bool:
    return litgpt_python is not None if arm == "litgpt" else gpu() or arm != "trl_liger"


if __name__ == "__main__":
    main()
