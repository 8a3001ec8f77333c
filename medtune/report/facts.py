"""Collects what the report and the model card show of a run."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune.report.run_facts import KindCounts, RunFacts
from medtune.runtime.errors import InputError
from medtune.scoring.hf_evaluate_metrics import all_scores
from medtune.scoring.scores import Score


@dataclass(frozen=True)
class Facts:
    """Everything that the report and the model card show of a run.

    `params` holds each section's parameters, `metrics` each file's flat metrics, and `curves` each
    split's (step, loss) points. `answers` has one mapping per test record, worst regression first.
    `choices` holds each model's answers to multiple-choice questions. If `run` is None, the report
    leaves its sections out.
    """

    preset: str
    seed: int
    params: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    curves: dict[str, list[tuple[float, float]]]
    answers: list[dict[str, Any]]
    prompt: dict[str, Any]
    adapter: dict[str, Any]
    splits: KindCounts = field(default_factory=dict)
    choices: dict[str, pa.Table] = field(default_factory=dict)
    run: RunFacts | None = None

    @property
    def confidence(self) -> float:
        return self.params["compare"]["confidence"]

    @property
    def scores(self) -> tuple[Score, ...]:
        return all_scores(self.params["evaluate"].get("metrics", ()))

    @property
    def few_shot(self) -> int:
        """The number of cards that the systems "with cards" see before a question."""
        return self.params["evaluate"]["few_shot"]


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Reads the (step, loss) points from a CSV of the train stage."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro train") from None
