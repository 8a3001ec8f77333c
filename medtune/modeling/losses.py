"""The loss of supervised tokens, for training and for perplexity."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from medtune.modeling.collation import IGNORED, by_length, padded
from medtune.modeling.distributed import spread
from medtune.modeling.loading import device
from medtune.modeling.onednn import packed_weights
from medtune.modeling.shared_prefix import allow_one_row, hidden_states
from medtune.runtime.progress import progress

LOSS_BATCH = 16  # rows; more are slower on a CPU, their logits leave its caches


def token_losses(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood in nats of each supervised token of a batch.

    `batch` holds `input_ids`, `attention_mask`, `labels`, each (batch, seq). The head, a third of a
    small model's work, runs at the supervised positions only; after `share_prefix` what all rows
    begin with runs once. Returns the losses (supervised,) in fp32 and the row of the batch that
    each belongs to (supervised,).
    """
    hidden = hidden_states(model, batch)  # of the last positions of each row
    first = batch["labels"].shape[1] - hidden.shape[1]
    targets = batch["labels"][:, first + 1 :]
    rows, positions = torch.nonzero(targets != IGNORED, as_tuple=True)
    logits = head_logits(model, hidden[rows, positions])
    return cross_entropy(logits, targets[rows, positions], reduction="none"), rows


class SupervisedLoss(torch.nn.Module):
    """`token_losses` as a module's forward pass, which DDP and FSDP can wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        allow_one_row(model)
        self.model = model

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return token_losses(self.model, batch)[0]


def summed_losses(
    model: Any, input_ids: Sequence[list[int]], loss_start: Sequence[int]
) -> list[tuple[float, int]]:
    """Summed negative log-likelihood in nats and number of the tokens from `loss_start` on.

    One pair for each row, in their order; batches are spread over the processes there are.
    """
    allow_one_row(model)
    batches = by_length([len(ids) for ids in input_ids], LOSS_BATCH)

    def losses_of(numbers: list[int]) -> list[tuple[float, int]]:
        rows, starts = [input_ids[n] for n in numbers], [loss_start[n] for n in numbers]
        batch = {name: tensor.to(device()) for name, tensor in padded(rows, starts, 0).items()}
        losses, owners = token_losses(model, batch)
        own = [losses[owners == row].double() for row in range(len(numbers))]
        return [(part.sum().item(), len(part)) for part in own]

    with torch.inference_mode(), packed_weights(model, rows=LOSS_BATCH * 50):
        found = spread(lambda own: list(map(losses_of, progress(own, unit="batch"))), batches)
    return [losses for _, losses in sorted(zip(chain(*batches), chain(*found), strict=True))]


def head_logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Logits (n, vocabulary) in fp32 of hidden states (n, dim), scaled as the model does it.

    Cohere, Granite and Gemma 2 scale or cap what their head gives.
    """
    config = model.config
    logits = model.get_output_embeddings()(hidden).float()
    if getattr(config, "logit_scale", None):
        logits = logits * config.logit_scale
    if getattr(config, "logits_scaling", None):
        logits = logits / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits
