"""What a training run is resumed from: all that the rest of the run depends on.

Which checkpoint is taken, and what is said of a damaged one, is decided in checkpoints.
Noise needs no state: each step seeds its own (see Trainer).
"""

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from medtune.training.checkpoints import Checkpoints
from medtune.training.history import History, Point
from medtune.training.optimizers import load_optimizer_state, optimizer_state

if TYPE_CHECKING:
    from medtune.training.loop import Trainer

logger = logging.getLogger("medtune")


def save(run: "Trainer", checkpoints: Checkpoints) -> None:
    """Saves the state of a run; all processes must call this."""
    moments, rest = optimizer_state(run.optimizer)
    kept = {"adapter": run.adapter(), "best": run.best, "optimizer": moments}
    tensors = {f"{kind}/{name}": tensor for kind in kept for name, tensor in kept[kind].items()}
    state = {**asdict(run.history), "optimizer": rest, "scaler": run.scaler.state_dict()}
    if run.accelerator.is_main_process:
        checkpoints.save(run.history.step, tensors, state)


def restore(
    run: "Trainer", step: int, tensors: dict[str, torch.Tensor], state: dict[str, Any]
) -> None:
    """Restores what `save` wrote into a new run of the same parameters."""
    logger.info(f"resuming from the checkpoint of step {step}")
    kept: dict[str, dict[str, torch.Tensor]] = {"adapter": {}, "best": {}, "optimizer": {}}
    for path, tensor in tensors.items():
        kind, name = path.split("/", 1)
        kept[kind][name] = tensor
    load_optimizer_state(run.optimizer, kept["optimizer"], state.pop("optimizer"))
    run.scaler.load_state_dict(state.pop("scaler"))
    points = [Point(**point) for point in state.pop("points")]
    run.history = History(points=points, **state)
    run.schedule.replay(step, run.history.validation_losses())
    run.load_adapter(kept["adapter"])
    run.best = kept["best"]
