"""The gate: stops where the fine-tuned model is worse than may be."""

from collections.abc import Mapping
from typing import Any

from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES

BETTER = {score.name: score.better for score in SCORES if score.better}


def check_scores(metrics: Mapping[str, Any], tolerances: Mapping[str, float], report: str) -> None:
    """Raises InputError that names each score by which fine-tuned is worse beyond its tolerance.

    `metrics` are those of compare_scores.json. The point estimates decide, so that the tolerance
    alone says how much noise is allowed; a score that is not defined does not pass.
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
            f"fine-tuned is worse than compare.fail_if_worse allows, {'; '.join(failed)}: "
            f"read {report} (all outputs are written), then train again or allow more"
        )


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:g}"
