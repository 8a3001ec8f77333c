"""Makes the tables of all systems: their scores side by side, and tuning crossed with retrieval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medtune.comparison.dvc_metrics import MAIN_SCORES
from medtune.report.headline import primary_scores
from medtune.report.number_formats import number
from medtune.scoring.scores import SCORES, Score
from medtune.scoring.system_names import (
    BASE,
    FEW_SHOT,
    FINETUNED,
    FINETUNED_FEW_SHOT,
    RULES,
    SYSTEMS,
    title,
)

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class SystemScores:
    """One system's row: (test, validation, whether it is the best without training) per score."""

    title: str
    cells: list[tuple[str, str, bool]]


@dataclass(frozen=True)
class Crossed:
    """One score of both models, each asked without cards and with the nearest cards."""

    title: str
    rows: list[tuple[str, str, str]]


def main_scores_of(systems: Metrics) -> list[Score]:
    """Returns the main scores that the fine-tuned model has."""
    names = MAIN_SCORES.values()
    return [s for s in SCORES if s.name in names and f"{FINETUNED}.{s.name}" in systems]


def all_systems(systems: Metrics, few_shot: int) -> list[SystemScores]:
    """Returns the main scores of every system that answered, rules first and tuned models last."""
    order = (*RULES, *(name for name in SYSTEMS if name not in RULES))
    scores = main_scores_of(systems)
    return [
        SystemScores(
            title(name, few_shot),
            [
                (
                    number(systems.get(f"{name}.{score.name}"), score.digits),
                    number(systems.get(f"{name}.{score.name}.validation"), score.digits),
                    systems.get(f"best.{score.name}") == name,
                )
                for score in scores
            ],
        )
        for name in order
        if f"{name}.{scores[0].name}" in systems
    ]


def tuning_and_retrieval(systems: Metrics, few_shot: int) -> list[Crossed]:
    """Returns a two-by-two table for each primary score, if both models also saw cards."""
    models = {BASE: FEW_SHOT, FINETUNED: FINETUNED_FEW_SHOT}
    return [
        Crossed(
            score.title,
            [
                (
                    title(alone, few_shot),
                    number(systems[f"{alone}.{score.name}"], score.digits),
                    number(systems[f"{with_cards}.{score.name}"], score.digits),
                )
                for alone, with_cards in models.items()
            ],
        )
        for score in primary_scores(systems)
        if all(f"{name}.{score.name}" in systems for pair in models.items() for name in pair)
    ]
