"""Measures what the stages take for ten thousand to a million cards.

The cards are made from data/clean/records.parquet (see benchmarks/cards.py); the stages run as
`dvc repro` runs them, in a temporary project with the default's parameters and no caps. Of train
and evaluate, only the start runs, with a tiny model (benchmarks/data_starts.py). The stages that
come after them, and the model that sees training cards, have the questions and answers of the
default. Then the obvious alternatives do the same work as clean, split and tokenize
(benchmarks/data_peers.py). Prints three tables. Linux only.

    python -m benchmarks.data
    python -m benchmarks.data --sizes 1000,4000 --compared 4000 --rounds 1
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import psutil
from ruamel.yaml import YAML

from benchmarks.cards import make_cards, read_cards, write_cards
from benchmarks.data_starts import QUESTIONS, write_tiny_model
from benchmarks.measured import show
from medtune.config.allowed_values import SPLITS
from medtune.config.loading import read_yaml
from medtune.modeling.loading import BASE, require
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging
from medtune.splits.near_duplicates import PERMUTATIONS, SHINGLE_WORDS

logger = logging.getLogger("medtune")

RECORDS = Path("data/clean/records.parquet")
DEFAULT = Path("presets/default.yaml")
PEERS = {
    "clean": ("pandas", "pandas `apply`, the same rules"),
    "split": ("datasketch", "datasketch MinHashLSH, near-duplicates only"),
    "tokenize": ("chat_template", "`apply_chat_template`, row by row"),
}
STARTS = {
    "train": ("benchmarks.data_starts", "train"),
    "evaluate": ("benchmarks.data_starts", "evaluate"),
    "medtune check": ("medtune", "check"),
}
AFTER_TRAINING = {
    "baselines": ("stages.baselines",),
    "evaluate, cards shown": ("stages.evaluate", "few_shot"),
    "compare": ("stages.compare",),
}
OF_THE_DEFAULT = (  # what they read beside the training cards
    "data/predictions",
    "data/split/test.parquet",
    "data/split/validation.parquet",
    "data/tokens/test.arrow",
    "data/tokens/validation.arrow",
    "metrics/train.json",
    "models/adapter",
    "plots/train",
)
START_CARDS = 200  # their time counts as a stage's start: interpreter, imports, tokenizer
ROUNDS_UP_TO = 100_000  # cards; larger sizes run once
SAMPLE_S = 0.1


class Cost(NamedTuple):
    seconds: float
    peak_memory_gib: float
    output: str


def run(command: Sequence[str], folder: Path, sample_s: float = SAMPLE_S, **variables: str) -> Cost:
    """Runs a command in a folder; raises InputError with its last line if it fails.

    Peak memory is the largest sum of the proportional set sizes of its processes, sampled every
    `sample_s`: a page that several share counts once, and pages of mapped files count too. A sample
    of a process of 8 GiB takes 40 ms; it is left out if a process ended meanwhile.
    """
    start, peak = time.perf_counter(), 0
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with psutil.Popen(command, cwd=folder, env=os.environ | variables, **pipes) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=sample_s)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _memory_bytes(process))
            except BaseException:
                process.terminate()
                raise
    seconds = time.perf_counter() - start
    if process.returncode:
        last = errors.strip().rpartition("\n")[2]
        raise InputError(f"{' '.join(command[1:])} ended with code {process.returncode}: {last}")
    return Cost(seconds, peak / 2**30, output)


def _memory_bytes(process: psutil.Process) -> int:
    """Returns the sum over a process and its children.

    It is 0 if one of them ended meanwhile, because the pages that it shared would count twice.
    """

    def runs(each: psutil.Process) -> bool:
        return each.memory_info().rss > 0  # what ends gives up its memory first

    with suppress(psutil.NoSuchProcess):
        processes = list(filter(runs, (process, *process.children(recursive=True))))
        total = sum(each.memory_full_info().pss for each in processes)
        if all(map(runs, processes)):
            return total
    return 0


class Project:
    """A project in a temporary folder: parameters, base model and `size` raw cards."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        write_tiny_model(BASE, folder / BASE)
        for name in ("medical", "general"):
            (folder / "data/choices" / name).mkdir(parents=True)
        for name in ("custom_metrics", "dvc.yaml", "launch", "presets"):
            (folder / name).symlink_to(Path(name).resolve())
        self.params = read_yaml(DEFAULT)
        columns = {name: name for name in ("question", "answer", "kind", "topic")}
        self.params["clean"].update(reader="columns", columns=columns)
        self.params["split"].update(max_records=dict.fromkeys(SPLITS))
        self.params["train"].update(num_train_epochs=5)  # so that START_CARDS make STEPS
        self.params["evaluate"].update(batch_size=QUESTIONS)
        with (folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(self.params, file)
        made = ("data/raw", str(BASE), *(f"data/tokens/{split}.arrow" for split in SPLITS))
        stage: dict[str, Any] = {"cmd": "make", "deps": [], "params": {"params.yaml": {}}}
        stage["outs"] = [{"path": path} for path in made]
        with (folder / "dvc.lock").open("w", encoding="utf-8") as file:  # read by medtune check
            YAML().dump({"stages": {"all": stage}}, file)
        write_cards(folder / "data/raw/cards.parquet", make_cards(read_cards(RECORDS), size, 0))

    def run(self, module: str, *arguments: str, python: str = "") -> Cost:
        command = [python or sys.executable, "-m", module, *arguments]
        return run(command, self.folder, PYTHONPATH=str(Path.cwd()))

    def stages(self, number: int) -> list[dict[str, Any]]:
        """Runs the stages one after the other, and returns a row for each."""
        rows = []
        commands = {stage: (f"stages.{stage}",) for stage in PEERS} | STARTS | AFTER_TRAINING
        for stage, command in commands.items():
            if stage == next(iter(AFTER_TRAINING)):
                self.take_over_the_default()
            seconds, gib, _ = self.run(*command)
            logger.info(f"{stage}, {self.size:,} cards: {seconds:.1f} s, {gib:.2f} GiB")
            row = {"cards": self.size, "round": number, "stage": stage}
            rows.append(row | {"seconds": seconds, "peak_memory_gib": gib})
        return rows

    def take_over_the_default(self) -> None:
        """Copies its questions, answers and adapter over those of this project."""
        for name in OF_THE_DEFAULT:
            if Path(name).is_dir():
                shutil.copytree(name, self.folder / name, dirs_exist_ok=True)
            else:
                shutil.copy(name, self.folder / name)

    def peers(self, datasketch_python: str | None) -> list[dict[str, Any]]:
        """Runs the alternative to each stage; returns rows whose seconds exclude imports."""
        near = {
            "threshold": self.params["split"]["near_duplicate_similarity"],
            "permutations": PERMUTATIONS,
            "words": SHINGLE_WORDS,
        }
        rows = []
        for stage, (peer, title) in PEERS.items():
            python = datasketch_python if peer == "datasketch" else ""
            if python is None:
                logger.info("split has no comparison: --datasketch-python is not set")
                continue
            cost = self.run("benchmarks.data_peers", peer, json.dumps(near), python=python)
            found = json.loads(cost.output)
            logger.info(f"{peer}: {found}")
            row = {"stage": stage, "alternative": title, "peak_memory_gib": cost.peak_memory_gib}
            rows.append(row | found)
        return rows


def measure(
    sizes: Sequence[int], rounds: int, compared: int, datasketch_python: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the rows of the stages, with START_CARDS as one size, and of the alternatives."""
    rows, peers = [], []
    with tempfile.TemporaryDirectory(prefix="medtune-data-") as scratch:
        for size in (START_CARDS, *sizes):
            project = Project(Path(scratch, str(size)), size)
            for number in range(rounds if size <= ROUNDS_UP_TO else 1):
                rows += project.stages(number)
            if size == compared:
                peers = project.peers(datasketch_python)
            shutil.rmtree(project.folder)
    return pd.DataFrame(rows), pd.DataFrame(peers)


def summary(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the table of PEERS' stages, and the µs per card beyond each one's start, by size."""
    rows = rows[rows["stage"].isin(PEERS)]
    seconds = rows.pivot_table(
        index="stage", columns="cards", values="seconds", aggfunc="median", sort=False
    )
    seconds.loc["all three"] = seconds.sum()
    start, seconds = seconds[START_CARDS], seconds.drop(columns=START_CARDS)
    sizes = [int(size) for size in seconds.columns]
    cost_us = 1e6 * seconds.sub(start, axis=0).div(sizes)
    first, last = cost_us.iloc[:, 0], cost_us.iloc[:, -1]
    peaks = rows.groupby("stage")["peak_memory_gib"].max()
    peaks["all three"] = peaks.max()
    table = seconds.map("{:,.1f} s".format).rename(columns="{:,} cards".format)
    table["µs a card"] = first.map("{:.0f}".format) + last.map(" → {:.0f}".format)
    table["growth"] = (last / first).map("{:.2f} ×".format)
    table["peak memory"] = peaks.map("{:.2f} GiB".format)
    table["cards/s"] = (sizes[-1] / seconds.iloc[:, -1]).map("{:,.0f}".format)
    return table, cost_us


def memory(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the peak memory of each stage for the fewest and the most cards, in GiB."""
    sizes = [rows["cards"].min(), rows["cards"].max()]
    peaks = rows.pivot_table(
        index="stage", columns="cards", values="peak_memory_gib", aggfunc="max", sort=False
    )[sizes]
    peaks.columns = pd.Index(f"{size:,} cards" for size in sizes)
    peaks["difference"] = peaks.iloc[:, 1] - peaks.iloc[:, 0]
    return peaks.map("{:.2f} GiB".format)


def compare(peers: pd.DataFrame, ours_us: pd.Series) -> pd.DataFrame:
    """Returns a table of the alternatives beside the stages, whose µs per card are given."""
    cost_us = 1e6 * peers["seconds"] / peers["cards"]
    table = peers[["stage", "alternative"]].copy()
    table["time"] = peers["seconds"].map("{:,.1f} s".format)
    table["µs a card"] = cost_us.map("{:.0f}".format)
    table["medtune is faster"] = (cost_us / ours_us[peers["stage"]].values).map("{:.2f} ×".format)
    table["peak memory"] = peers["peak_memory_gib"].map("{:.2f} GiB".format)
    return table.set_index("stage")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = made.add_argument
    default = [10_000, 100_000, 1_000_000]
    add("--sizes", type=whole_numbers, default=default, help="numbers of cards")
    add("--rounds", type=int, default=3, help=f"runs of each size up to {ROUNDS_UP_TO} cards")
    add("--compared", type=int, default=100_000, help="the size at which the alternatives run too")
    add("--datasketch-python", help="a Python interpreter that has datasketch and pyarrow")
    add("--output", type=Path, help="a CSV file for the cost of each run")
    return made


def whole_numbers(text: str) -> list[int]:
    return sorted(int(number) for number in text.split(","))


def main() -> None:
    options = parser().parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        if options.compared not in options.sizes:
            raise InputError(f"--compared must be one of --sizes, got {options.compared}")
        if options.rounds < 1 or options.sizes[0] <= START_CARDS:
            raise InputError(f"--rounds must be at least 1, each of --sizes above {START_CARDS}")
        require(BASE / "tokenizer.json", "download@model")
        require(RECORDS, "clean")
        if missing := [name for name in OF_THE_DEFAULT if not Path(name).exists()]:
            raise InputError(f"{missing[0]} is missing: run dvc repro compare")
        rows, peers = measure(
            options.sizes, options.rounds, options.compared, options.datasketch_python
        )
        table, cost_us = summary(rows)
        print(compare(peers, cost_us[options.compared]).to_markdown(disable_numparse=True), "\n")
        print(memory(rows).to_markdown(disable_numparse=True), "\n")
        packages = ("pandas", "pyarrow", "rensa", "tokenizers", "transformers")
        show(table, *packages, output=options.output, rows=rows)


if __name__ == "__main__":
    main()
