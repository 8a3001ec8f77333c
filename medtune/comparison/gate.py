"""Stops the pipeline if the fine-tuned model is worse than allowed."""

from collections.abc import Mapping
from typing import Any

from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES

BETTER = {score.name: score.better for score in SCORES if score.better}


def check_scores(metrics: Mapping[str, Any], tolerances: Mapping[str, float], report: str) -> None:
    """Raises InputError with each score in which fine-tuned is worse by more than its tolerance.

    `metrics` are the contents of compare_scores.json. The point estimates decide, so the tolerance
    must allow for noise. A score that is undefined does not pass.
    """
    failed = []
    for name, tolerance in sorted(tolerances.items()):
        base, finetuned, difference = (
            metrics[f"{name}.{field}"] for field in ("base", "finetuned", "difference")
        )
        if difference is None or -BETTER[name] * difference > tolerance:
            failed.append(
                f"{name}: base {_text(base)}, fine-tuned {_text(finetuned)}, "
                f"difference {_text(difference)}, tolerance {tolerance:g}"
            )
    if failed:
        raise InputError(
            "the fine-tuned model is worse than compare.fail_if_worse allows, "
            f"{'; '.join(failed)}: read {report} (all outputs are written), then train again or "
            "raise the tolerance"
        )


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:g}"
