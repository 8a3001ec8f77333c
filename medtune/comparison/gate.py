"""Stops the pipeline if the fine-tuned model is worse than allowed."""

from collections.abc import Mapping
from typing import Any

from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES
from medtune.scoring.system_names import BASE, FINETUNED, TITLES

BEST = "best."
BETTER = {score.name: score.better for score in SCORES if score.better}


def check_scores(
    metrics: Mapping[str, Mapping[str, Any]], tolerances: Mapping[str, float], report: str
) -> None:
    """Raises InputError with each score in which fine-tuned is worse by more than its tolerance.

    `metrics` holds compare_scores and compare_systems. A name such as "rougeL" compares with the
    base model, "best.rougeL" with the best system without training. The point estimates decide, so
    the tolerance must allow for noise. A score that is undefined does not pass.
    """
    failed = []
    for name, tolerance in sorted(tolerances.items()):
        score = name.removeprefix(BEST)
        rival, value, finetuned, difference = _compared(metrics, name, score)
        if difference is None or -BETTER[score] * difference > tolerance:
            failed.append(
                f"{score}: {rival} {_text(value)}, fine-tuned {_text(finetuned)}, "
                f"difference {_text(difference)}, tolerance {tolerance:g}"
            )
    if failed:
        raise InputError(
            "the fine-tuned model is worse than compare.fail_if_worse allows, "
            f"{'; '.join(failed)}: read {report} (all outputs are written), then train again or "
            "raise the tolerance"
        )


def _compared(
    metrics: Mapping[str, Mapping[str, Any]], name: str, score: str
) -> tuple[str, float | None, float | None, float | None]:
    """Returns the rival's title and value, the fine-tuned model's value and the difference."""
    if name == score:
        flat, rival = metrics["compare_scores"], BASE
        keys = (f"{score}.base", f"{score}.finetuned", f"{score}.difference")
    else:
        flat = metrics["compare_systems"]
        rival = flat.get(name, BASE)
        keys = (f"{rival}.{score}", f"{FINETUNED}.{score}", f"{rival}.{score}.difference")
    value, finetuned, difference = (flat.get(key) for key in keys)
    return TITLES[rival], value, finetuned, difference


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:g}"
