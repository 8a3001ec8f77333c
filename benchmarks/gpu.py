"""Measures medtune on one GPU: speed, memory, and equality with one-by-one processing.

The models have random weights in the shapes of published ones, so nothing is downloaded. Each
section runs in its own process with a time limit; all of them take about six minutes on an H100.
Prints a table with the goals and saves all figures as JSON.

    python -m benchmarks.gpu --output gpu.json
    python -m benchmarks.gpu --sections training,answers
    python -m benchmarks.gpu --tiny     # tries the benchmark itself, on a CPU too
"""

import argparse
import json
import logging
import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import gpu_answers, gpu_sections
from benchmarks.gpu_sections import Bench, Results
from benchmarks.measured import machine, versions
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

Found = dict[str, dict[str, Any]]  # figures by the name of the result


@dataclass(frozen=True)
class Section:
    run: Callable[[Bench], Results]
    limit_s: float


SECTIONS = {
    "ceilings": Section(gpu_sections.ceilings, 40),
    "training": Section(gpu_sections.training, 180),
    "peers": Section(gpu_sections.peers, 90),
    "equality": Section(gpu_answers.equality, 90),
    "answers": Section(gpu_answers.answers, 90),
    "presets": Section(gpu_answers.presets, 120),
    "repeated": Section(gpu_answers.repeated, 60),
    "memory": Section(gpu_answers.memory, 60),
}


@dataclass(frozen=True)
class Goal:
    """A figure and the goal for it; `reached` may compare it with other results."""

    result: str
    figure: str
    goal: str
    reached: Callable[[Found], bool]


def _speed(found: Found, name: str, other: str) -> float:
    return found[name]["tokens_per_s"] / found[other]["tokens_per_s"]


GOALS = (
    Goal(
        "train, 8 cards a step",
        "tokens_per_s",
        "1.3 × HF Trainer",
        lambda f: _speed(f, "train, 8 cards a step", "HF Trainer, 8 cards a step") >= 1.3,
    ),
    Goal(
        "train, 64 cards a step",
        "tokens_per_s",
        "1.3 × HF Trainer",
        lambda f: _speed(f, "train, 64 cards a step", "HF Trainer, 64 cards a step") >= 1.3,
    ),
    Goal(
        "train, 64 cards a step, compiled",
        "tflops",
        "40 % of the bf16 product",
        lambda f: (
            f["train, 64 cards a step, compiled"]["tflops"] >= 0.4 * f["bf16 product"]["tflops"]
        ),
    ),
    Goal("one step of 8 cards", "waits", "≤ 4", lambda f: f["one step of 8 cards"]["waits"] <= 4),
    Goal(
        "equality, fp32",
        "loss_error",
        "≤ 1e-4",
        lambda f: f["equality, fp32"]["loss_error"] <= 1e-4,
    ),
    Goal(
        "equality, fp32",
        "answers_equal",
        "all",
        lambda f: f["equality, fp32"]["answers_equal"] == f["equality, fp32"]["answers"],
    ),
    Goal(
        "gradients, fp32",
        "relative_error",
        "≤ 1e-4",
        lambda f: f["gradients, fp32"]["relative_error"] <= 1e-4,
    ),
    Goal(
        "answers, 200 at a time",
        "tokens_per_s",
        "3 × transformers",
        lambda f: _speed(f, "answers, 200 at a time", "transformers, 200 at a time") >= 3,
    ),
    *(
        Goal(f"T4, {name}", "peak_gib", "runs", lambda _: True)  # an error is a goal missed
        for name in ("healthcare-assistant", "med-llama", "med-llama likelihoods")
    ),
    Goal("repeated", "distance", "same bytes", lambda f: f["repeated"]["distance"] == 0),
    Goal("resumed", "distance", "same bytes", lambda f: f["resumed"]["distance"] == 0),
    Goal(
        "memory of a step",
        "calculated_gib",
        "within 20 %",
        lambda f: (
            abs(f["memory of a step"]["calculated_gib"] / f["memory of a step"]["measured_gib"] - 1)
            <= 0.2
        ),
    ),
)


def run_section(name: str, bench: Bench, results: Path) -> None:
    """Appends each result of a section to a file, one JSON object a line."""
    set_up_logging("benchmark")
    with results.open("a", encoding="utf-8") as file:
        try:
            for result, figures in SECTIONS[name].run(bench):
                file.write(json.dumps({"section": name, "name": result, **figures}) + "\n")
                file.flush()
        except Exception as error:
            traceback.print_exc()
            what = f"{type(error).__name__}: {error}"[:500]
            file.write(json.dumps({"section": name, "name": name, "error": what}) + "\n")


def measure(names: list[str], bench: Bench, total_s: float) -> Found:
    """Runs the sections one after the other; one that exceeds its limit or `total_s` is ended."""
    processes = multiprocessing.get_context("forkserver")
    # Imported only once. Not peft: bitsandbytes, which it imports, may start CUDA before the fork.
    processes.set_forkserver_preload(["torch", "transformers.models.llama.modeling_llama"])
    end, file = time.monotonic() + total_s, bench.root / "results.jsonl"
    late: Found = {}
    for name in names:
        start = time.monotonic()
        process = processes.Process(target=run_section, args=(name, bench, file))
        process.start()
        process.join(max(0.0, min(SECTIONS[name].limit_s, end - start)))
        if process.is_alive():
            process.kill()
            process.join()
            late[f"section {name}"] = {"error": "stopped at its time limit"}
        elif process.exitcode:
            late[f"section {name}"] = {"error": f"ended with code {process.exitcode}"}
        logger.info(f"{name}: {time.monotonic() - start:.0f} s")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {row.pop("name"): row for row in map(json.loads, lines)} | late


def goals(found: Found) -> pd.DataFrame:
    """Returns each goal with the figure; a figure that was not measured has no verdict."""
    rows = []
    for goal in GOALS:
        figures = found.get(goal.result, {})
        value = figures.get(goal.figure)
        if "error" in figures:
            value, verdict = figures["error"], "missed"
        elif value is None:
            value, verdict = "", "not measured"
        else:
            try:
                verdict = "reached" if goal.reached(found) else "missed"
            except KeyError:  # the result that it is compared with
                verdict = "not measured"
            value = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        rows.append([goal.result, goal.figure, value, goal.goal, verdict])
    columns = ["what", "figure", "measured", "goal", "verdict"]
    return pd.DataFrame(rows, columns=columns).set_index("what")


def main() -> None:
    options = parser().parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        names = options.sections or list(SECTIONS)
        if unknown := [name for name in names if name not in SECTIONS]:
            known = ", ".join(SECTIONS)
            raise InputError(f"--sections names {unknown[0]!r}: choose from {known}")
        if not (options.tiny or gpu_sections.gpu()):
            raise InputError("torch finds no GPU: --tiny tries the benchmark on a CPU")
        with tempfile.TemporaryDirectory() as folder:
            found = measure(names, Bench(Path(folder), options.tiny), options.total)
        if options.output:
            options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        for name, figures in found.items():
            logger.info(f"{name}: {json.dumps(figures)}")
        print(goals(found).to_markdown(disable_numparse=True))
        print(f"\n{machine()}; {versions('torch', 'transformers', 'peft')}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = made.add_argument
    add("--sections", type=lambda text: text.split(","), help=f"some of {', '.join(SECTIONS)}")
    add("--total", type=float, default=900, help="seconds after which no section goes on")
    add("--tiny", action="store_true", help="a tiny model, to try the benchmark itself")
    add("--output", type=Path, help="a JSON file for all figures")
    return made


if __name__ == "__main__":
    main()
