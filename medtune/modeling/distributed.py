"""Divides work between processes and gathers the results; copies tensors that FSDP has sharded.

With one process, everything here is a plain call: no process group is needed.
"""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch.distributed.tensor import DTensor, distribute_tensor

from medtune.modeling.loading import device
from medtune.runtime.errors import InputError


def accelerator() -> Accelerator:
    """Returns accelerate's view of the processes; medtune sets devices and precision itself."""
    return Accelerator(cpu=device() == "cpu", device_placement=False, mixed_precision="no")


def passes_of_process(
    passes: list[list[int]], count: int, process: int
) -> list[tuple[list[int], int]]:
    """Returns the forward passes of one of `count` processes, each with the weight of its loss.

    A pass is a list of row numbers. Passes are dealt out in turn. DDP and FSDP need equally many
    from each process, so some passes come a second time, with weight 0 instead of 1.

    >>> passes_of_process([[0, 1], [2, 3], [4]], count=2, process=1)
    [([2, 3], 1), ([0, 1], 0)]
    """
    turns = range(process, math.ceil(len(passes) / count) * count, count)
    return [(passes[n % len(passes)], int(n < len(passes))) for n in turns]


Item = TypeVar("Item")
Result = TypeVar("Result")


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def divide_among_processes(
    work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
) -> list[Result]:
    """Returns the results of work(items), one for each item, in order.

    Each process works on its share of the items, and each gets all the results. Without
    `accelerate launch` there is one process, which simply calls `work`.
    """
    count = process_count()
    if count == 1:
        return work(items)
    share_of_items = items[accelerator().process_index :: count]
    by_process = _results(gather_object, lambda: work(share_of_items))
    return [by_process[n % count][n // count] for n in range(len(items))]


def from_first(find: Callable[[], Result]) -> Result:
    """Returns in all processes what `find` returns in the first, which alone calls it."""
    if process_count() == 1:
        return find()
    is_first = accelerator().is_main_process
    first: Result
    (first,) = _results(broadcast_object_list, find if is_first else lambda: None)
    return first


def _results(send: Callable[[list[Any]], list[Any]], work: Callable[[], Any]) -> list[Any]:
    """Returns what `send` brings from the processes' results of `work`.

    An error is sent too, because the other processes would wait for the result. It is raised where
    it arose, and as an InputError in the other processes.
    """
    own: tuple[Any, str] = (None, "")
    failure = None
    try:
        own = (work(), "")
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        failure, own = error, (None, f"{kind}{error}")
    sent = send([own])
    if failure:
        raise failure
    if reasons := [reason for _, reason in sent if reason]:
        raise InputError(f"another process has failed ({reasons[0]}): mend that and run this again")
    return [result for result, _ in sent]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a full copy of a tensor. If FSDP has sharded it, all processes must call this."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.clone()


def placed(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Moves a full tensor to the device of `like`, and shards it alike if their shapes agree.

    Shapes differ for an optimiser's scalars, such as its step count: these stay full.
    """
    tensor = tensor.to(like.device)
    if isinstance(like, DTensor) and tensor.shape == like.shape:
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor
