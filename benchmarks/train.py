"""Compares the speed of training with other trainers on the same cards, turn by turn.

Each arm is a process that trains one run, cut into slices. In a round each arm works through one
slice while all others sleep; a slice counts useful tokens, which are those of the cards, per
second. Reads data/tokens/ and models/base/; writes benchmarks/results/train.json and the table in
benchmarks/README.md.

    python -m benchmarks.train
    python -m benchmarks.train --arms ours,hf_dynamic --cards 48 --output trial.json
"""

import argparse
import importlib.util
import logging
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import limit, table
from benchmarks.arms import ARMS
from benchmarks.base import model_folder
from benchmarks.machine import machine, versions
from benchmarks.turns import Report, gpu
from benchmarks.worker import Job
from benchmarks.workers import Worker
from medtune.modeling.loading import BASE, resolve_precision
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_json
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

RESULTS = Path("benchmarks/results/train.json")
TOKENS = Path("data/tokens")
PACKAGES = ("torch", "transformers", "peft", "liger-kernel")


def check_arms(names: list[str], litgpt_python: str | None) -> None:
    for name in names:
        if name not in ARMS:
            raise InputError(
                f"--arms names {name!r}, which is unknown: known are {', '.join(ARMS)}"
            )
        needs = ARMS[name].needs
        if needs == "litgpt":
            if litgpt_python is None:
                raise InputError("the arm litgpt needs --litgpt-python: see benchmarks/README.md")
        elif needs and importlib.util.find_spec(needs) is None:
            raise InputError(
                f"the arm {name} needs {needs}, which is not installed: "
                "pip install -r benchmarks/requirements.txt"
            )


def compare(jobs: list[Job], pythons: dict[str, str], peak: float | None) -> dict[str, Any]:
    """Lets the arms take turns: a warm-up step each, the rounds of slices, the final reports."""
    products = limit.shapes(jobs[0].config(), *_tokens_of_a_batch(jobs[0]))
    workers: list[Worker] = []
    slices: dict[str, list[Report]] = {job.arm: [] for job in jobs}
    rates, loads = [], []
    try:
        for job in jobs:
            workers.append(Worker(pythons[job.arm], job))
            logger.info(f"{job.arm} is warm")
        for number in range(jobs[0].slices):
            loads.append(os.getloadavg()[0])
            rates.append({"stated": peak} if peak else limit.measure(products))
            shift = number % len(workers)
            for worker in workers[shift:] + workers[:shift]:
                report = worker.turn()
                slices[worker.arm].append(report)
                rate = report["tokens"] / report["seconds"]
                logger.info(f"round {number + 1}: {worker.arm} {rate:.0f} useful tokens/s")
        final = {worker.arm: worker.turn() for worker in workers}
    finally:
        for worker in workers:
            worker.close()
    results: dict[str, Any] = describe(jobs[0]) | {"arms": table.arm_results(slices, final)}
    results["machine"]["load"] = median(loads)
    peers = {ARMS[arm].needs: report.get("version") for arm, report in final.items()}
    results["versions"] |= {name: version for name, version in peers.items() if version}
    parameters = final[jobs[-1].arm]["parameters"]
    table.add_limit(results, limit.flops_per_token(parameters, _supervised_share(jobs[0])), rates)
    return results


def describe(job: Job) -> dict[str, Any]:
    params, seed = job.params()
    rows = job.rows("train")["input_ids"]
    return {
        "machine": machine(job.threads),
        "versions": versions(PACKAGES),
        "run": {
            "cards": len(rows),
            "tokens": sum(map(len, rows)),
            "slices": job.slices,
            "batch_size": params.per_device_train_batch_size,
            "precision": resolve_precision(params.precision),
            "seed": seed,
        },
    }


def _supervised_share(job: Job) -> float:
    rows = job.rows("train")
    lengths = [len(ids) for ids in rows["input_ids"]]
    pairs = zip(lengths, rows["loss_start"], strict=True)
    return sum(length - max(1, start) for length, start in pairs) / sum(lengths)


def _tokens_of_a_batch(job: Job) -> tuple[int, int]:
    lengths = [len(ids) for ids in job.rows("train")["input_ids"]]
    tokens = job.params()[0].per_device_train_batch_size * sum(lengths) // len(lengths)
    return tokens, round(tokens * _supervised_share(job))


def main() -> None:
    options = parser().parse_args()
    set_up_logging("benchmark")
    with one_line_errors(), tempfile.TemporaryDirectory() as scratch:
        names = options.arms or [name for name in ARMS if _usual(name, options.litgpt_python)]
        check_arms(names, options.litgpt_python)
        import torch

        torch.set_num_threads(options.threads)
        folder = model_folder(options.model, Path(scratch))
        shared = (folder, options.tokens, options.cards, options.slices, options.threads)
        jobs = [Job(name, *shared) for name in names]
        pythons = dict.fromkeys(names, sys.executable)
        if options.litgpt_python:
            pythons["litgpt"] = options.litgpt_python
        results = compare(jobs, pythons, options.peak_flops)
        results["run"]["model"] = options.model
        write_json(options.output, results)
        if options.output == RESULTS:
            table.write_into_readme(table.BLOCK, table.block(results))
        print(table.block(results))
        _say_ratios(results["arms"])


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = made.add_argument
    add("--arms", type=lambda text: text.split(","), help=f"of {', '.join(ARMS)}")
    add("--cards", type=int, default=192, help="training cards, drawn by the seed")
    add("--slices", type=int, default=5, help="timed turns of each arm")
    add("--threads", type=int, default=os.cpu_count())
    add("--model", default=str(BASE), help="a folder, or random://llama?hidden_size=…&vocab_size=…")
    add("--tokens", type=Path, default=TOKENS, help="folder of train.arrow and validation.arrow")
    add("--litgpt-python", help="an interpreter that has litgpt")
    add("--peak-flops", type=float, help="the limit of the device, instead of a measured one")
    add("--output", type=Path, default=RESULTS)
    return made


def _usual(arm: str, litgpt_python: str | None) -> bool:
    return litgpt_python is not None if arm == "litgpt" else gpu() or arm != "trl_liger"


def _say_ratios(arms: dict[str, Any]) -> None:
    if table.OURS in arms and (peer := table.best_peer(arms)):
        logger.info(
            f"the best peer is {peer}: ours is {arms[peer]['ours_is_faster']:.2f} times faster, "
            f"its validation loss {arms[table.OURS]['validation_loss']:.4f} against "
            f"{arms[peer]['validation_loss']:.4f}"
        )


if __name__ == "__main__":
    main()
