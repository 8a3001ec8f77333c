"""Makes the optimiser of a training run, and saves and restores its state."""

from collections.abc import Iterator
from typing import Any

import torch

from medtune.config.schema import Train
from medtune.modeling.distributed import placed, whole
from medtune.modeling.loading import device


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
