"""Sends the API requests made up from its own OpenAPI document, right ones and wrong ones.

Starts the server over a small random model and runs Schemathesis with all its checks: no server
error, no answer that the document does not describe, nothing wrong accepted.

    python -m benchmarks.api_cases
    python -m benchmarks.api_cases --examples 100 --seed 7
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.chat_server import ROOT, running
from medtune.config.loading import PARAMS_FILE, load_params
from medtune.guard.classifier import DIMENSIONS, Guard, Kernel
from medtune.guard.classifier import MODEL as GUARD
from medtune.modeling.adapters import ADAPTER, add_adapter, save_adapter
from medtune.modeling.loading import BASE, load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging
from medtune.sources.conversion import write_random_llama

HOOKS = "benchmarks.api_case_hooks"
COUNTS = "MEDTUNE_API_CASES"  # names the file into which the hooks write how many got which answer
CONFIG = Path(__file__).with_name("schemathesis.toml").resolve()
LIMITS = ("--max-new-tokens", "8")  # a random model never stops by itself


@contextmanager
def random_project() -> Iterator[Path]:
    """A folder in which the server finds params.yaml, a random model and a fresh adapter."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / PARAMS_FILE).write_bytes(PARAMS_FILE.read_bytes())
        write_random_llama(folder / BASE)
        model = add_adapter(load_base(folder=folder / BASE), load_params("train"), seed=0)
        encoder = PromptEncoder(load_tokenizer(folder / BASE), PromptFormat("chat", None))
        save_adapter(model, encoder, folder / ADAPTER)
        nothing = Kernel.pack(
            np.ones((1, DIMENSIONS)), np.zeros(1), bias=0.0, gamma=1.0
        )  # finds nothing
        (folder / GUARD).parent.mkdir()
        Guard(nothing, nothing, nothing).save(folder / GUARD)
        yield folder


def send_cases(address: str, examples: int, seed: int) -> Counter[str]:
    """The number of answers by operation and status; raises InputError if one failed a check.

    `examples` is the most for each operation.
    """
    with TemporaryDirectory() as folder:
        counts = Path(folder) / "counts.json"
        command = ["-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
        command += [f"{address}/openapi.json", "--phases", "examples,coverage,fuzzing"]
        command += ["--max-examples", str(examples), "--seed", str(seed)]
        hooks = {"SCHEMATHESIS_HOOKS": HOOKS, COUNTS: str(counts), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=os.environ | hooks,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(done.stdout, done.stderr, file=sys.stderr)
            raise InputError("a request failed a check of Schemathesis: see its report above")
        return Counter(json.loads(counts.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--examples", type=int, default=1200, help="at most, for each operation and process")
    add("--processes", type=int, default=2, help="each makes up its own cases")
    add("--seed", type=int, default=1, help="of the first process")
    options = parser.parse_args()
    set_up_logging("benchmark")
    with one_line_errors(), random_project() as folder, running(folder, *LIMITS) as server:
        seeds = range(options.seed, options.seed + options.processes)
        with ThreadPoolExecutor(options.processes) as pool:
            parts = pool.map(lambda n: send_cases(server.address, options.examples, n), seeds)
            answers = sum(parts, Counter[str]())
    for answer, count in sorted(answers.items()):
        print(f"{count:6} × {answer}")
    print(f"{answers.total()} requests, no failure")


if __name__ == "__main__":
    main()
