"""Sets the learning rate of each step: warm-up, then one of the schedules of transformers."""

import logging
import warnings
from typing import Any

import torch
from transformers import get_scheduler
from transformers.optimization import GreedyLR

from medtune.config.schema import Train
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

WITHOUT_WARMUP = ("constant", "greedy", "reduce_lr_on_plateau")  # whatever train.warmup_steps says
LED_BY_LOSS = (torch.optim.lr_scheduler.ReduceLROnPlateau, GreedyLR)


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
