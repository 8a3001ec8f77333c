"""Which rows go through the model together, in which order, and as which tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

IGNORED = -100  # label of a token that is not supervised, as torch's cross-entropy has it


def training_order(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers in batches, shuffled: a pure function of (count, batch_size, seed, epoch)."""
    rows = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [rows[i : i + batch_size] for i in range(0, count, batch_size)]


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Row numbers in batches from the shortest row to the longest."""
    rows = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def padded(
    input_ids: Sequence[Sequence[int]], loss_start: Sequence[int], pad_id: int
) -> dict[str, "torch.Tensor"]:
    """Right-padded tensors `input_ids`, `attention_mask` and `labels`, each (batch, seq).

    A row's labels are its own ids from its `loss_start` on, and -100 before and in the padding.
    """
    import torch

    shape = (len(input_ids), max(len(ids) for ids in input_ids))
    ids = torch.full(shape, pad_id)
    mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for n, (row, start) in enumerate(zip(input_ids, loss_start, strict=True)):
        ids[n, : len(row)] = torch.tensor(row)
        mask[n, : len(row)] = 1
        labels[n, start : len(row)] = torch.tensor(row[start:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
