"""The training loop.

Rows are dictionaries of columns, as `pyarrow.Table.to_pydict` gives them, with `input_ids` and
`loss_start`. The order of the batches is a function of the seed and the epoch alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import get_scheduler

from medtune.batches import by_length, padded, training_order
from medtune.errors import InputError
from medtune.losses import token_losses
from medtune.models import autocast, device, resolve_precision
from medtune.params import Train
from medtune.progress import progress

Rows = dict[str, list[Any]]
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Point:
    """A point of a training or validation curve; `loss` in nats per supervised token."""

    curve: str
    step: int
    epoch: float
    loss: float
    learning_rate: float


def plan_steps(lengths: list[int], params: Train, seed: int) -> list[list[list[int]]]:
    """The rows of each forward pass of each optimiser step, over all epochs."""
    plan: list[list[list[int]]] = []
    size = params.gradient_accumulation_steps
    for epoch in range(params.num_train_epochs):
        passes = training_order(lengths, params.per_device_train_batch_size, seed, epoch)
        plan += [passes[i : i + size] for i in range(0, len(passes), size)]
    return plan


def train(
    model: Any, training: Rows, validation: Rows, params: Train, seed: int, pad_id: int
) -> Iterator[Point]:
    """Trains the model in place and yields the points of its curves as they come."""
    plan = plan_steps([len(ids) for ids in training["input_ids"]], params, seed)
    optimizer = _optimizer(model, params)
    warmup = params.warmup_steps * (1 if params.warmup_steps >= 1 else len(plan))
    scheduler = get_scheduler(params.lr_scheduler_type, optimizer, round(warmup), len(plan))
    scaler = torch.amp.GradScaler(device(), enabled=resolve_precision(params.precision) == "fp16")
    eval_steps = params.eval_steps * (1 if params.eval_steps >= 1 else len(plan))
    eval_every = max(1, round(eval_steps))
    loss_sum, tokens = 0.0, 0
    model.train()
    with progress(total=len(plan), unit="step") as bar:
        for step, passes in enumerate(plan, start=1):
            learning_rate = scheduler.get_last_lr()[0]
            batches = [_batch(rows, training, pad_id) for rows in passes]
            step_loss, step_tokens = _step(model, batches, optimizer, scaler, params)
            if not math.isfinite(step_loss):
                raise InputError(
                    f"the training loss is {step_loss} at step {step}: lower train.lr, or set "
                    "train.precision to bf16 or fp32"
                )
            scheduler.step()
            loss_sum, tokens = loss_sum + step_loss, tokens + step_tokens
            bar.update()
            epoch = step * params.num_train_epochs / len(plan)
            if step % params.logging_steps == 0 or step == len(plan):
                bar.set_postfix(loss=f"{loss_sum / tokens:.3f}", refresh=False)
                yield Point("train", step, epoch, loss_sum / tokens, learning_rate)
                loss_sum, tokens = 0.0, 0
            if step % eval_every == 0 or step == len(plan):
                loss = mean_loss(model, validation, params, pad_id)
                yield Point("validation", step, epoch, loss, learning_rate)


def mean_loss(model: Any, rows: Rows, params: Train, pad_id: int) -> float:
    """Negative log-likelihood in nats per supervised token, all rows together."""
    total, tokens = 0.0, 0
    lengths = [len(ids) for ids in rows["input_ids"]]
    model.eval()
    with torch.no_grad(), autocast(params.precision):
        batches = by_length(lengths, 2 * params.per_device_train_batch_size)
        for numbers in progress(batches, unit="validation batch"):
            losses, _ = token_losses(model, _batch(numbers, rows, pad_id))
            total += losses.sum().item()
            tokens += len(losses)
    model.train()
    return total / tokens


def _step(
    model: Any, batches: list[Batch], optimizer: Any, scaler: Any, params: Train
) -> tuple[float, int]:
    """One optimiser step over the mean loss of all supervised tokens of its batches."""
    tokens = sum(int((batch["labels"][:, 1:] >= 0).sum()) for batch in batches)
    total = 0.0
    for batch in batches:
        with autocast(params.precision):
            losses, _ = token_losses(model, batch)
        scaler.scale(losses.sum() / tokens).backward()
        total += losses.sum().item()
    scaler.unscale_(optimizer)
    for group in optimizer.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], params.max_grad_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return total, tokens


def _optimizer(model: Any, params: Train) -> Any:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if params.optim == "paged_adamw_8bit":
        from bitsandbytes.optim import PagedAdamW8bit

        return PagedAdamW8bit(parameters, lr=params.lr, weight_decay=params.weight_decay)
    return torch.optim.AdamW(parameters, lr=params.lr, weight_decay=params.weight_decay)


def _batch(numbers: list[int], rows: Rows, pad_id: int) -> Batch:
    ids = [rows["input_ids"][number] for number in numbers]
    tensors = padded(ids, [rows["loss_start"][number] for number in numbers], pad_id)
    return {name: tensor.to(device()) for name, tensor in tensors.items()}
