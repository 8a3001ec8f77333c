"""Which rows go through the model together, in which order, and as which tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

WINDOW = 50  # batches whose rows are sorted by length together: little padding, still shuffled
IGNORED = -100  # label of a token that is not supervised, as torch's cross-entropy has it


def training_order(
    lengths: Sequence[int], batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """Row numbers, batch by batch: a pure function of (lengths, batch_size, seed, epoch).

    Rows are shuffled, sorted by length within windows, cut into batches, and the batches shuffled,
    so that a batch holds rows of similar length and the lengths come in random order.
    """
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(rows), WINDOW * batch_size):
        window = sorted(rows[start : start + WINDOW * batch_size], key=lambda row: lengths[row])
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [[int(row) for row in batches[i]] for i in random.permutation(len(batches))]


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
