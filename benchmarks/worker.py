"""One arm of the benchmark in a process of its own; started by benchmarks.train.

Reads a job as one line of JSON on standard input, and from then on a line for each turn; writes
one line of JSON at the end of each turn.
"""

import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.turns import Report, Turns, release_memory
from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.token_files import read_tokens
from medtune.runtime.stage import one_line_errors, set_up_logging

NEVER = 10**9


@dataclass(frozen=True)
class Job:
    """What one arm trains on; `cards` of the training cards are drawn by the seed."""

    arm: str
    model: Path
    tokens: Path
    cards: int
    slices: int
    threads: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        fields = json.loads(text)
        return cls(**fields | {name: Path(fields[name]) for name in ("model", "tokens")})

    def params(self) -> tuple[Train, int]:
        """params.yaml's train section for one plain epoch, and the seed."""
        params, seed = load_params("train", "seed")
        changes: dict[str, Any] = {
            "num_train_epochs": 1,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            "logging_steps": 1,
            "eval_steps": NEVER,
            "save_steps": NEVER,
            "load_best_model_at_end": False,
            "early_stopping_patience": None,
        }
        return params.model_copy(update=changes), seed

    def rows(self, split: str) -> dict[str, list[Any]]:
        """The cards, as ids below the size of the model's vocabulary."""
        table = read_tokens(self.tokens / f"{split}.arrow")
        if split == "train":
            _, seed = self.params()
            chosen = np.random.default_rng(seed).permutation(len(table))[: self.cards]
            table = table.take(np.sort(chosen))
        rows = table.select(["input_ids", "loss_start"]).to_pydict()
        size = self.config()["vocab_size"]
        rows["input_ids"] = [[token % size for token in ids] for ids in rows["input_ids"]]
        return rows

    def config(self) -> dict[str, Any]:
        return json.loads((self.model / "config.json").read_text(encoding="utf-8"))


@contextmanager
def only_for_reports() -> Iterator[Any]:
    """Standard output as it was; whatever libraries print goes to standard error meanwhile."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)
        yield channel


def run(job: Job, channel: Any) -> None:
    import torch

    from benchmarks.arms import ARMS

    torch.set_num_threads(job.threads)

    def exchange(report: Report) -> None:
        release_memory()
        print(json.dumps(report), file=channel, flush=True)
        if not sys.stdin.readline():
            sys.exit("the coordinator is gone")

    turns = Turns(sum(map(len, job.rows("train")["input_ids"])), job.slices, exchange)
    arm = ARMS[job.arm]
    report = arm.train(job, turns)
    if arm.needs:
        report["version"] = importlib.metadata.version(arm.needs)
    print(json.dumps(report), file=channel, flush=True)


def main() -> None:
    job = Job.from_json(sys.stdin.readline())
    set_up_logging(job.arm)
    with only_for_reports() as channel, one_line_errors():
        run(job, channel)


if __name__ == "__main__":
    main()
