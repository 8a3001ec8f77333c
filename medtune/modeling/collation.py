"""Puts rows into batches: which rows go together, in which order, and as which tensors."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

IGNORED = -100  # label of a token without loss: the default `ignore_index` of cross_entropy


def training_order(count: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Returns the numbers of `count` rows, shuffled and cut into batches; the last may be smaller.

    The order depends only on the arguments, so that a resumed run sees the same batches.
    """
    rows = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [rows[i : i + batch_size] for i in range(0, count, batch_size)]


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Returns row numbers sorted by length and cut into batches, which need little padding."""
    rows = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def common_prefix_length(rows: Sequence[Sequence[int]]) -> int:
    """Returns how many leading ids all rows have in common.

    >>> common_prefix_length([[5, 6, 7, 8], [5, 6, 9]])
    2
    """
    columns = zip(*rows, strict=False)
    return sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, columns))


def padded(
    input_ids: Sequence[Sequence[int]], loss_start: Sequence[int], pad_id: int
) -> dict[str, "torch.Tensor"]:
    """Returns right-padded `input_ids`, `attention_mask` and `labels`, each (rows, columns) int64.

    `columns` is the length of the longest row. The labels of a row are its ids from `loss_start`
    on; they are IGNORED before that and in the padding. Labels are not shifted: the label of a
    column is the token in that column.
    """
    import torch

    shape = (len(input_ids), max(len(ids) for ids in input_ids))
    ids = torch.full(shape, pad_id)
    mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    for row, (tokens, start) in enumerate(zip(input_ids, loss_start, strict=True)):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, start : len(tokens)] = torch.tensor(tokens[start:])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
