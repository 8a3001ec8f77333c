"""One process or many: which work is whose, and tensors that FSDP spreads over processes."""

import math
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch.distributed.tensor import DTensor, distribute_tensor

from medtune.modeling.loading import device


def accelerator() -> Accelerator:
    """How many processes there are and what connects them; precision and placement are ours."""
    return Accelerator(cpu=device() == "cpu", device_placement=False, mixed_precision="no")


def share(passes: list[list[int]], count: int, process: int) -> list[tuple[list[int], int]]:
    """The passes of one process of `count`, with weight 1.

    DDP and FSDP want as many from each process: what is missing is filled up with weight 0.
    """
    turns = range(process, math.ceil(len(passes) / count) * count, count)
    return [(passes[n % len(passes)], int(n < len(passes))) for n in turns]


Item = TypeVar("Item")
Result = TypeVar("Result")


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def spread(work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """The results of work(items), one for each item; each process does its share, all get all."""
    count = process_count()
    if count == 1:
        return work(items)
    parts = gather_object([work(items[accelerator().process_index :: count])])
    return [parts[n % count][n // count] for n in range(len(items))]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor; one that FSDP has spread is gathered, which all processes join."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.clone()


def placed(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The tensor on the device of `like`, and spread like it where the shapes agree."""
    tensor = tensor.to(like.device)
    if isinstance(like, DTensor) and tensor.shape == like.shape:
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor
