"""The optimiser and the learning-rate schedule of a training run, and the optimiser's state."""

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from transformers import get_scheduler
from transformers.optimization import GreedyLR

from medtune.config.schedules import WITHOUT_WARMUP
from medtune.config.schema import Train
from medtune.modeling.distributed import placed, whole
from medtune.modeling.loading import device
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

LED_BY_LOSS = (torch.optim.lr_scheduler.ReduceLROnPlateau, GreedyLR)


def make_optimizer(model: Any, params: Train) -> torch.optim.Optimizer:
    """Returns AdamW; with LoRA+ (arXiv 2402.12354), matrix B learns faster than matrix A."""
    kind: Any = torch.optim.AdamW
    fused = {"fused": True} if device() in ("cpu", "cuda") else {}
    if params.optim == "paged_adamw_8bit":
        from bitsandbytes.optim import PagedAdamW8bit

        kind, fused = PagedAdamW8bit, {}
    if params.loraplus_lr_ratio is not None:
        from peft.optimizers import create_loraplus_optimizer

        return create_loraplus_optimizer(
            model,
            kind,
            lr=params.lr,
            loraplus_lr_ratio=params.loraplus_lr_ratio,
            loraplus_weight_decay=params.weight_decay,
            **fused,
        )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return kind(trained, lr=params.lr, weight_decay=params.weight_decay, **fused)


class Schedule:
    """A learning-rate schedule of transformers, driven by steps or by the validation loss."""

    def __init__(self, optimizer: torch.optim.Optimizer, params: Train, steps: int) -> None:
        warmup = params.warmup_steps * (1 if params.warmup_steps >= 1 else steps)
        if params.lr_scheduler_type not in WITHOUT_WARMUP and 2 * round(warmup) > steps:
            logger.warning(
                f"the learning rate rises in {min(round(warmup), steps)} of {steps} steps and "
                f"hardly reaches train.lr: lower train.warmup_steps from {params.warmup_steps:g} "
                "to 0.1 or less, or train on more cards"
            )
        try:
            self.scheduler: Any = get_scheduler(
                params.lr_scheduler_type,
                optimizer,
                round(warmup),
                steps,
                dict(params.lr_scheduler_kwargs),
            )
        except (TypeError, ValueError) as error:
            raise InputError(
                f"train.lr_scheduler_kwargs {params.lr_scheduler_kwargs} do not fit "
                f"lr_scheduler_type {params.lr_scheduler_type}: {error}"
            ) from None

    def advance(self, validation_loss: float | None) -> None:
        """Sets the next step's learning rate; the loss is given after a step with a validation."""
        if not isinstance(self.scheduler, LED_BY_LOSS):
            self.scheduler.step()
        elif validation_loss is not None:
            self.scheduler.step(validation_loss)

    def replay(self, steps: int, validation_losses: dict[int, float]) -> None:
        """Brings a new schedule to where it was after `steps`; the losses are by step."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch saw no optimiser step
            for step in range(1, steps + 1):
                self.advance(validation_losses.get(step))


def optimizer_state(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Returns the moments, named "<parameter number>/<name>", and the rest, which fits JSON."""
    state = optimizer.state_dict()["state"]
    return {name: whole(tensor) for name, tensor in _leaves(state)}, _without_leaves(state)


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], rest: dict[str, Any]
) -> None:
    """Restores what `optimizer_state` returned; the schedule sets the learning rates."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, tensor in tensors.items():
        number, *parents, last = name.split("/")
        node = rest[number]
        for parent in parents:
            node = node[parent]
        node[last] = placed(tensor, parameters[int(number)])
    state = {int(number): moments for number, moments in rest.items()}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _leaves(tree: dict[Any, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from ((f"{key}/{name}", tensor) for name, tensor in _leaves(value))
        elif isinstance(value, torch.Tensor):
            yield str(key), value


def _without_leaves(tree: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(key): _without_leaves(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if not isinstance(value, torch.Tensor)
    }
