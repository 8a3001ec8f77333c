"""The loss of supervised tokens, for training and for perplexity."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from medtune.batches import IGNORED
from medtune.prefix import hidden_states, share_prefix


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
    logits = model.get_output_embeddings()(hidden[rows, positions]).float()
    logits = _as_the_model_scales(logits, model.config)
    return cross_entropy(logits, targets[rows, positions], reduction="none"), rows


class SupervisedLoss(torch.nn.Module):
    """`token_losses` as a module's forward pass, which DDP and FSDP can wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        share_prefix(model)
        self.model = model

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return token_losses(self.model, batch)[0]


def _as_the_model_scales(logits: torch.Tensor, config: Any) -> torch.Tensor:
    """What some models do to the logits of their head: Cohere, Granite, Gemma 2."""
    if getattr(config, "logit_scale", None):
        logits = logits * config.logit_scale
    if getattr(config, "logits_scaling", None):
        logits = logits / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits
