"""The loss of supervised tokens, for training and for perplexity.

Logits are by far the largest tensor of a small model: 49,152 numbers for each token of the default.
They are computed only where a supervised token is predicted, not for prompts and padding.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from medtune.modeling.collation import IGNORED, by_length, padded
from medtune.modeling.distributed import spread
from medtune.modeling.loading import to_device
from medtune.modeling.onednn import packed_weights
from medtune.modeling.shared_prefix import enable_prefix_sharing, pack, shares_prefixes
from medtune.runtime.progress import progress

LOSS_BATCH = 16  # rows; the logits of more rows do not fit into a CPU's caches
TOKENS_PER_ROW = 50  # roughly; it only decides the memory layout


def token_losses(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the negative log-likelihood in nats of each supervised token of a batch.

    `batch` holds `input_ids`, `attention_mask` and `labels`, each (rows, columns) int64 and
    right-padded; best on the CPU, so that nothing waits for a GPU. Returns the losses (supervised,)
    in fp32 and, for each, the number of the row that it belongs to (supervised,). The head runs at
    the supervised positions only. After `enable_prefix_sharing` the prefix that all rows share runs
    through the decoder once.
    """
    batch = {name: tensor.cpu() for name, tensor in batch.items()}  # DDP moves it to the GPU
    is_packed = len(batch["input_ids"]) > 1 and shares_prefixes(model)
    if is_packed:
        row, columns = pack(model, batch)
        states = row.states(model.get_decoder())  # (packed, dim)
    else:
        columns = torch.arange(batch["labels"].numel(), device=batch["labels"].device)
        ids, mask = (
            to_device(batch[name], model.device) for name in ("input_ids", "attention_mask")
        )
        output = model.get_decoder()(input_ids=ids, attention_mask=mask.bool(), use_cache=False)
        states = output.last_hidden_state.flatten(0, 1)  # (rows · columns, dim)
    places, targets, rows = (to_device(t, model.device) for t in _supervised(batch, columns))
    logits = head_logits(model, states.index_select(0, places))  # (supervised, vocabulary)
    return cross_entropy(logits, targets, reduction="none"), rows


def _supervised(batch: dict[str, torch.Tensor], columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Returns for each supervised token (supervised,): what predicts it, its id, its row.

    `columns` (states,) says which column of the batch each state belongs to, counted through all
    rows. A state predicts the token of the next column.
    """
    width = batch["labels"].shape[1]
    following = torch.cat([batch["labels"].flatten(), batch["labels"].new_tensor([IGNORED])])
    targets = following[columns + 1].where(columns % width != width - 1, IGNORED)  # (states,)
    places = (targets != IGNORED).nonzero()[:, 0]
    return places, targets[places], columns[places] // width


class SupervisedLoss(torch.nn.Module):
    """`token_losses` as a module's forward pass, which DDP and FSDP can wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        enable_prefix_sharing(model)
        self.model = model
        self._no_split_modules = model._no_split_modules  # the layers that FSDP shards one by one

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return token_losses(self.model, batch)[0]


def summed_losses(
    model: Any, input_ids: Sequence[list[int]], loss_start: Sequence[int]
) -> list[tuple[float, int]]:
    """Returns for each row the summed negative log-likelihood in nats and its number of tokens.

    The tokens from the row's `loss_start` on count. Rows of similar length go together, and the
    batches are divided between the processes.
    """
    enable_prefix_sharing(model)
    batches = by_length([len(ids) for ids in input_ids], LOSS_BATCH)

    def batch_losses(numbers: list[int]) -> list[tuple[float, int]]:
        rows, starts = [input_ids[n] for n in numbers], [loss_start[n] for n in numbers]
        losses, row_of_loss = (t.cpu() for t in token_losses(model, padded(rows, starts, 0)))
        by_row = [losses[row_of_loss == row].double() for row in range(len(numbers))]
        return [(own.sum().item(), len(own)) for own in by_row]

    def all_losses(batches: Sequence[list[int]]) -> list[list[tuple[float, int]]]:
        return [batch_losses(numbers) for numbers in progress(batches, unit="batch")]

    with torch.inference_mode(), packed_weights(model, tokens=LOSS_BATCH * TOKENS_PER_ROW):
        found = spread(all_losses, batches)
    return [losses for _, losses in sorted(zip(chain(*batches), chain(*found), strict=True))]


def head_logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Maps hidden states (tokens, dim) to logits (tokens, vocabulary) in fp32.

    They are scaled and capped as in the model's own forward pass: Cohere multiplies them, Granite
    divides them, Gemma 2 caps them.
    """
    config = model.config
    logits = model.get_output_embeddings()(hidden).float()
    if getattr(config, "logit_scale", None):
        logits = logits * config.logit_scale
    if getattr(config, "logits_scaling", None):
        logits = logits / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits
