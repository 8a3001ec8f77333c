"""Finds what to lower in params.yaml if a stage does not fit into memory."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Literal

from medtune.config.schema import Params

Stage = Literal["train", "evaluate"]
STAGES: tuple[Stage, ...] = ("train", "evaluate")


def find_changes(
    params: Params, stage: Stage, peaks: Callable[[Params], dict[Stage, int]], free_bytes: int
) -> dict[str, Any] | None:
    """Returns the cheapest changes that make a stage fit, by key; empty if it already fits.

    Smaller batches come first, with as many cards per optimiser step, then gradient checkpointing,
    which takes time, then quantization, which takes precision. Returns None if nothing helps.
    """
    section = getattr(params, stage)
    candidates = _trainings(params) if stage == "train" else _evaluations(params)
    for values in candidates:
        changed = params.model_copy(update={stage: section.model_copy(update=values)})
        if peaks(changed)[stage] <= free_bytes:
            return {
                f"{stage}.{key}": str(value).lower()
                for key, value in values.items()
                if value != getattr(section, key)
            }
    return None


def _trainings(params: Params) -> Iterator[dict[str, Any]]:
    train = params.train
    quantizations = [train.quantization]
    if train.quantization == "none" and not str(train.init_lora_weights).startswith("pissa"):
        quantizations.append("nf4")
    checkpointing = [True] if train.gradient_checkpointing else [False, True]
    rows = train.per_device_train_batch_size
    for quantization, recompute, size in product(quantizations, checkpointing, _halved(rows)):
        yield {
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": train.gradient_accumulation_steps * (rows // size),
            "gradient_checkpointing": recompute,
            "quantization": quantization,
        }


def _evaluations(params: Params) -> Iterator[dict[str, Any]]:
    return ({"batch_size": size} for size in _halved(params.evaluate.batch_size))


def _halved(size: int) -> Iterator[int]:
    while size:
        yield size
        size //= 2
