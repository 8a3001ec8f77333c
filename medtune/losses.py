"""The loss of supervised tokens, for training and for perplexity."""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from medtune.batches import IGNORED


def token_losses(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood in nats of each supervised token of a batch.

    `batch` holds `input_ids`, `attention_mask`, `labels`, each (batch, seq). The head, a third of a
    small model's work, runs at the supervised positions only. Returns the losses (supervised,) in
    fp32 and the row of the batch that each belongs to (supervised,).
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    output = decoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    targets = batch["labels"][:, 1:]
    rows, positions = torch.nonzero(targets != IGNORED, as_tuple=True)
    logits = head(output.last_hidden_state[rows, positions]).float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    if cap:
        logits = torch.tanh(logits / cap) * cap
    return cross_entropy(logits, targets[rows, positions], reduction="none"), rows
