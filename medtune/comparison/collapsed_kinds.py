"""Finds kinds of card whose answers broke down, which an average over all kinds can hide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medtune.comparison.breakdowns import part_names

TOLERANCE = 0.05  # of a share of answers or of 4-grams
LOST = {"stopped_rate": -1, "repetition_rate": 1}  # the direction that is a loss


@dataclass(frozen=True)
class Collapse:
    """A kind in which fewer answers end, or more of their text repeats, than the base model's."""

    kind: str
    n: int
    score: str
    base: float
    finetuned: float


def collapses(kinds: Mapping[str, Any]) -> list[Collapse]:
    """Returns what is worse than the base model by more than TOLERANCE, the largest loss first.

    `kinds` are the contents of compare_kinds.json.
    """
    found = []
    for kind in part_names(kinds):
        for score, direction in LOST.items():
            base, finetuned = (kinds.get(f"{kind}.{score}.{m}") for m in ("base", "finetuned"))
            if base is None or finetuned is None:
                continue
            if direction * (finetuned - base) > TOLERANCE:
                found.append(Collapse(kind, kinds[f"{kind}.n"], score, base, finetuned))
    return sorted(found, key=lambda one: (-abs(one.finetuned - one.base), one.kind, one.score))
