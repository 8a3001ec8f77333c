"""Puts rows into batches: which rows go together, and as which tensors."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from medtune.modeling.token_files import row_lengths

if TYPE_CHECKING:
    import torch

IGNORED = -100  # label of a token without loss: the default `ignore_index` of cross_entropy

Spans = Sequence[Sequence[int]]  # (start, stop) of each span of columns


class Cards(NamedTuple):
    """Rows for the loss: it covers `input_ids[loss_start:]` but for what is in masked spans.

    Only conversations have masked spans, which lie between two answers.
    """

    input_ids: Sequence[list[int]]
    loss_start: Sequence[int]
    masked_spans: Sequence[Spans] = ()  # of each row, or none for all rows

    @classmethod
    def all(cls, rows: Mapping[str, Sequence[Any]]) -> "Cards":
        """Takes all rows from the columns of a token file, without reading their ids."""
        return cls(*(rows[name] for name in cls._fields if name in rows))

    def chosen(self, numbers: Iterable[int]) -> "Cards":
        """Reads the rows of these numbers."""
        chosen = list(numbers)
        columns: list[Any] = [[column[n] for n in chosen] for column in self if len(column)]
        return Cards(*columns)

    def supervised(self) -> list[list[range]]:
        """Returns the columns of each row that the loss covers; nothing predicts the first one.

        >>> Cards([[1, 5, 2, 6, 7, 2]], [1], [[(3, 5)]]).supervised()
        [[range(1, 3), range(5, 6)]]
        """
        found: list[list[range]] = []
        masked: Sequence[Spans] = self.masked_spans or [()] * len(self.input_ids)
        for ids, start, spans in zip(self.input_ids, self.loss_start, masked, strict=True):
            edges = [max(1, start), *chain(*spans), len(ids)]
            found.append([range(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)])
        return found

    def supervised_counts(self) -> list[int]:
        """Returns how many tokens of each row the loss covers."""
        pairs = zip(row_lengths(self.input_ids), self.loss_start, strict=True)
        counts = [length - max(1, start) for length, start in pairs]
        for row, spans in enumerate(self.masked_spans):
            counts[row] -= sum(stop - start for start, stop in spans)
        return counts


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Returns row numbers sorted by length and cut into batches, which need little padding."""
    rows = np.argsort(lengths, kind="stable").tolist()
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def common_prefix_length(rows: Sequence[Sequence[int]]) -> int:
    """Returns how many leading ids all rows have in common.

    >>> common_prefix_length([[5, 6, 7, 8], [5, 6, 9]])
    2
    """
    first = rows[0]
    shared = len(first)
    for row in rows:
        while row[:shared] != first[:shared]:
            shared -= 1
    return shared


def padded(
    input_ids: Sequence[Sequence[int]],
    loss_start: Sequence[int],
    pad_id: int,
    masked_spans: Sequence[Spans] = (),
) -> dict[str, "torch.Tensor"]:
    """Returns right-padded `input_ids`, `attention_mask` and `labels`, each (rows, columns) int64.

    `columns` is the length of the longest row. The labels of a row are its ids from `loss_start`
    on; they are IGNORED before that, in its masked spans and in the padding. Labels are not
    shifted: the label of a column is the token in that column.
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
    for row, spans in enumerate(masked_spans):
        for start, stop in spans:
            labels[row, start:stop] = IGNORED
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
