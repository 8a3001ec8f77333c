"""Measures the stages clean, split and tokenize on ten thousand to a million cards.

The cards are made from data/clean/records.parquet (see benchmarks/cards.py); the stages run as
`dvc repro` runs them, in a temporary project with the default's parameters and no caps. Writes
benchmarks/results/data.json and the table in benchmarks/README.md.

    python -m benchmarks.data
    python -m benchmarks.data --sizes 1000,4000 --compared 4000 --rounds 1 --output trial.json
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ruamel.yaml import YAML

from benchmarks.cards import RATES, make_cards, read_cards, write_cards
from benchmarks.data_table import BLOCK, block
from benchmarks.machine import machine, versions
from benchmarks.process_tree import Cost, run
from benchmarks.table import write_into_readme
from medtune.config.loading import read_yaml
from medtune.config.schema import SPLITS
from medtune.modeling.loading import BASE, require
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_json
from medtune.runtime.stage import one_line_errors, set_up_logging
from medtune.splits.ngrams import PERMUTATIONS, SHINGLE_WORDS

logger = logging.getLogger("medtune")

RESULTS = Path("benchmarks/results/data.json")
RECORDS = Path("data/clean/records.parquet")
DEFAULT = Path("presets/default.yaml")
STAGES = ("clean", "split", "tokenize")
PEERS = {"clean": "pandas", "split": "datasketch", "tokenize": "chat_template"}
PACKAGES = ("pandas", "pyarrow", "rensa", "tokenizers", "transformers")
OUTPUTS = ("data/clean", "data/split", "data/tokens", "metrics", "plots")
START_CARDS = 200  # what a stage takes for them is its start: interpreter, imports, tokenizer
ROUNDS_UP_TO = 100_000  # cards; larger sizes run once


class Project:
    """A project in a temporary folder: parameters, base model and `size` raw cards."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        (folder / "models").mkdir(parents=True)
        (folder / BASE).symlink_to(BASE.resolve())
        params = read_yaml(DEFAULT)
        columns = {name: name for name in ("question", "answer", "kind", "topic")}
        params["clean"].update(reader="columns", columns=columns)
        params["split"].update(max_records=dict.fromkeys(SPLITS))
        with (folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(params, file)
        self.params = params
        write_cards(folder / "data/raw/cards.parquet", make_cards(read_cards(RECORDS), size, 0))

    def run(self, module: str, *arguments: str, python: str = sys.executable) -> Cost:
        command = [python, "-m", module, *arguments]
        return run(command, self.folder, {"PYTHONPATH": str(Path.cwd())})

    def stages(self) -> dict[str, Any]:
        """The cost of each stage, run one after the other."""
        costs = {}
        for stage in STAGES:
            costs[stage] = self.run(f"stages.{stage}")
            logger.info(
                f"{stage}, {self.size} cards: {costs[stage].seconds:.1f} s, "
                f"{costs[stage].peak_memory_gib:.2f} GiB"
            )
        return costs

    def digest(self) -> str:
        """The sha256 of all that the stages wrote, costs excepted."""
        files = {path for name in OUTPUTS for path in (self.folder / name).rglob("*.*")}
        whole = hashlib.sha256()
        for path in sorted(path for path in files if not path.name.endswith("_cost.json")):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(self.folder)} {content}\n".encode())
        return whole.hexdigest()

    def metrics(self) -> dict[str, dict[str, float]]:
        paths = {stage: self.folder / f"metrics/{stage}.json" for stage in STAGES}
        return {stage: json.loads(path.read_text("utf-8")) for stage, path in paths.items()}


def measure(project: Project, rounds: int, start_s: Mapping[str, float]) -> dict[str, Any]:
    """Median seconds, µs per card beyond the start, and memory of each stage; what came out."""
    costs = [project.stages() for _ in range(rounds)]
    results: dict[str, Any] = {"metrics": project.metrics()}
    for stage in STAGES:
        seconds = [cost[stage].seconds for cost in costs]
        results[stage] = {
            "seconds": median(seconds),
            "seconds_of_rounds": seconds,
            "cards_per_s": project.size / median(seconds),
            "us_per_card": 1e6 * (median(seconds) - start_s.get(stage, 0.0)) / project.size,
            "peak_memory_gib": max(cost[stage].peak_memory_gib for cost in costs),
        }
    return results


def compare(
    project: Project, stages: Mapping[str, Any], datasketch_python: str | None
) -> dict[str, Any]:
    """What the alternative to each stage takes in the same project."""
    near = {
        "threshold": project.params["split"]["near_duplicate_similarity"],
        "permutations": PERMUTATIONS,
        "words": SHINGLE_WORDS,
    }
    peers = {}
    for stage, peer in PEERS.items():
        python = datasketch_python if peer == "datasketch" else sys.executable
        if python is None:
            logger.info("without --datasketch-python nothing stands beside split")
            continue
        cost = project.run("benchmarks.data_peers", peer, json.dumps(near), python=python)
        found = json.loads(cost.output)
        us_per_card = 1e6 * found["seconds"] / project.size
        peers[peer] = {
            **found,
            "us_per_card": us_per_card,
            "peak_memory_gib": cost.peak_memory_gib,
            "ours_is_faster": us_per_card / stages[stage]["us_per_card"],
        }
        logger.info(f"{peer}, {project.size} cards: {found['seconds']:.1f} s")
    return peers


def same_on_one_processor(project: Project) -> bool:
    """Whether the stages, bound to one processor, write the bytes that stand there."""
    before, processors = project.digest(), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})  # the stages inherit it
    try:
        project.stages()
    finally:
        os.sched_setaffinity(0, processors)
    return project.digest() == before


def benchmark(sizes: Sequence[int], rounds: int, compared: int, python: str | None) -> Any:
    results: dict[str, Any] = {"sizes": {}}
    start_s: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="medtune-data-") as scratch:
        for size in (START_CARDS, *sizes):
            project = Project(Path(scratch, str(size)), size)
            times = rounds if size <= ROUNDS_UP_TO else 1
            found = measure(project, times, start_s)
            if size == START_CARDS:
                start_s = {stage: found[stage]["seconds"] for stage in STAGES}
                continue
            results["sizes"][str(size)] = found
            if size == compared:
                results["peers"] = compare(project, found, python)
                results["same_on_one_processor"] = same_on_one_processor(project)
            shutil.rmtree(project.folder)
    first, last = results["sizes"][str(sizes[0])], results["sizes"][str(sizes[-1])]
    results["start_s"] = start_s
    results["growth"] = {
        stage: last[stage]["us_per_card"] / first[stage]["us_per_card"] for stage in STAGES
    }
    return results


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.data", description=__doc__.splitlines()[0]
    )
    add = made.add_argument
    add(
        "--sizes", type=whole_numbers, default=[10_000, 100_000, 1_000_000], help="numbers of cards"
    )
    add("--rounds", type=int, default=3, help=f"runs of each size up to {ROUNDS_UP_TO} cards")
    add("--compared", type=int, default=100_000, help="the size at which the alternatives run too")
    add("--datasketch-python", help="an interpreter that has datasketch and pyarrow")
    add("--output", type=Path, default=RESULTS)
    return made


def whole_numbers(text: str) -> list[int]:
    return sorted(int(number) for number in text.split(","))


def main() -> None:
    options = parser().parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        if options.compared not in options.sizes:
            raise InputError(f"--compared is {options.compared}: it must be one of --sizes")
        if options.rounds < 1 or options.sizes[0] <= START_CARDS:
            raise InputError(f"--rounds must be 1 or more, each of --sizes above {START_CARDS}")
        require(BASE / "tokenizer.json", "download@model")
        require(RECORDS, "clean")
        arguments = (options.sizes, options.rounds, options.compared, options.datasketch_python)
        results = benchmark(*arguments)
        results["machine"] = machine(len(os.sched_getaffinity(0)))
        results["versions"] = versions(PACKAGES)
        results["rates"] = RATES
        write_json(options.output, results)
        if options.output == RESULTS:
            write_into_readme(BLOCK, block(results))
        print(block(results))


if __name__ == "__main__":
    main()
