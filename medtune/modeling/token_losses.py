"""The loss of each supervised token, and their sum for each row."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import cross_entropy, log_softmax
from torch.utils.checkpoint import checkpoint

from medtune.modeling.batch_limits import CPU_LOGITS_AT_ONCE, LOGITS_AT_ONCE, LOSS_BATCH
from medtune.modeling.collation import IGNORED, by_length, padded
from medtune.modeling.distributed import divide_among_processes
from medtune.modeling.forward import (
    accepted,
    hooked,
    logits_at,
    padded_inputs,
    unwrapped,
)
from medtune.modeling.loading import shards_weights, to_device
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.neftune import packed_noise
from medtune.modeling.onednn import packed_weights
from medtune.modeling.shared_prefix import pack, shares_prefixes
from medtune.modeling.token_files import row_lengths
from medtune.runtime.progress import progress

TOKENS_PER_ROW = 50  # roughly; it only decides the memory layout


def supervised_losses(
    model: Any, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the negative log-likelihood in nats of each supervised token of a batch.

    `batch` holds `input_ids`, `attention_mask` and `labels`, each (rows, columns) int64 and
    right-padded; best on the CPU, so that nothing waits for a GPU. Returns the losses (supervised,)
    in fp32 and, for each, the number of the row that it belongs to (supervised,). The head runs at
    the supervised positions only. After `enable_prefix_sharing` the prefix that all rows share runs
    through the decoder once.
    """
    batch = {name: tensor.cpu() for name, tensor in batch.items()}  # DDP moves it to the GPU
    is_packed = len(batch["input_ids"]) > 1 and shares_prefixes(model)
    columns = torch.arange(batch["labels"].numel())
    if is_packed:
        row, columns = pack(model, batch)
    supervised = _supervised(batch, columns)
    indices, targets, rows = (to_device(tensor, model.device) for tensor in supervised)
    if not is_packed:
        inputs = padded_inputs(model, batch["input_ids"], batch["attention_mask"])
        return losses_at(model, indices, targets, **inputs), rows
    with packed_noise(model, batch["input_ids"].shape, columns):
        return losses_at(model, indices, targets, **row.inputs), rows


def _supervised(batch: dict[str, torch.Tensor], columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Returns for each supervised token (supervised,): what predicts it, its id, its row.

    `columns` (states,) says which column of the batch each state belongs to, counted through all
    rows. A state predicts the token of the next column.
    """
    width = batch["labels"].shape[1]
    following = torch.cat([batch["labels"].flatten(), batch["labels"].new_tensor([IGNORED])])
    targets = following[columns + 1].where(columns % width != width - 1, IGNORED)  # (states,)
    indices = (targets != IGNORED).nonzero()[:, 0]
    return indices, targets[indices], columns[indices] // width


def losses_at(
    model: Any, indices: torch.Tensor, targets: torch.Tensor, **inputs: Any
) -> torch.Tensor:
    """Returns the negative log-likelihoods (K,) in nats of `targets` (K,), as token ids.

    More than a few logits are computed in parts. The gradient of a part is taken immediately; if
    the head is trained, the backward pass computes the part again. With FSDP there are no parts,
    because all processes must run the model equally often.
    """
    head = unwrapped(model).get_output_embeddings()
    at_once = LOGITS_AT_ONCE if indices.device.type == "cuda" else CPU_LOGITS_AT_ONCE
    size = max(1, at_once // head.weight.shape[0])
    if len(indices) <= size or shards_weights():
        return cross_entropy(logits_at(model, indices, **inputs), targets, reduction="none")
    states, decoded = _states_at(model, indices, **inputs)

    def logits(states: torch.Tensor) -> torch.Tensor:
        return _logits_of(model, states, decoded)

    def losses(states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(logits(states), targets, reduction="none")

    parts = zip(states.split(size), targets.split(size), strict=True)
    if torch.is_grad_enabled() and any(p.requires_grad for p in head.parameters()):
        return torch.cat([checkpoint(losses, *part, use_reentrant=False) for part in parts])
    return torch.cat([_WithGradient.apply(logits, *part) for part in parts])


class _WithGradient(torch.autograd.Function):
    """Losses whose gradients are taken at once, so that no logits wait for the backward pass."""

    @staticmethod
    def forward(
        context: Any, logits_of: Any, states: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Maps states (K, D) and targets (K,) to negative log-likelihoods (K,)."""
        with torch.set_grad_enabled(context.needs_input_grad[1]):
            states = states.detach().requires_grad_(context.needs_input_grad[1])
            logits = logits_of(states)  # (K, vocabulary)
        logs = log_softmax(logits.detach(), dim=-1)
        losses = -logs.gather(1, targets[:, None])[:, 0]
        if context.needs_input_grad[1]:
            of_logits = logs.exp_()
            indices = torch.arange(len(targets), device=targets.device)
            of_logits[indices, targets] -= 1
            context.save_for_backward(*torch.autograd.grad(logits, states, of_logits))
        return losses

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor, None]:
        (of_states,) = context.saved_tensors
        return None, of_states * gradients[0][:, None], None


def _states_at(model: Any, indices: torch.Tensor, **inputs: Any) -> tuple[torch.Tensor, Any]:
    """Returns the states (K, D) from which the head makes the logits at `indices`.

    The second result is what the model's decoder returns.
    """
    states, decoded = list[torch.Tensor](), list[Any]()

    def catch(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states.append(arguments[0].flatten(0, -2).index_select(0, indices))
        return (states[0][:1],)

    model = unwrapped(model)
    handle = _decoder_of(model).register_forward_hook(lambda *call: decoded.append(call[-1]))
    try:
        with hooked(model.get_output_embeddings(), catch):
            model(**accepted(model, inputs))
    finally:
        handle.remove()
    return states[0], decoded[0]


def _logits_of(model: Any, states: torch.Tensor, decoded: Any) -> torch.Tensor:
    """Returns the logits (K, vocabulary) in fp32 that a model makes of states (K, D).

    The model runs with what its decoder returned before, and with these states before its head.
    """
    model = unwrapped(model)
    decoder = _decoder_of(model)
    ids = torch.zeros((1, 1), dtype=torch.long, device=states.device)
    decoder.forward = lambda *_, **__: decoded  # on the instance, it hides the class's
    try:
        with hooked(model.get_output_embeddings(), lambda *_: (states,)):
            return model(**accepted(model, {"input_ids": ids, "use_cache": False})).logits.float()
    finally:
        del decoder.forward


def _decoder_of(model: Any) -> Any:
    """Returns what makes the states; ModernBERT calls its head the decoder."""
    decoder = model.get_decoder()
    return model.base_model if decoder is model.get_output_embeddings() else decoder


class SupervisedLoss(torch.nn.Module):
    """`supervised_losses` as a module's forward pass, which DDP and FSDP can wrap."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        enable_prefix_sharing(model)
        self.model = model
        self._no_split_modules = model._no_split_modules  # the layers that FSDP shards one by one

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return supervised_losses(self.model, batch)[0]


def summed_losses(
    model: Any, input_ids: Sequence[list[int]], loss_start: Sequence[int]
) -> list[tuple[float, int]]:
    """Returns for each row the summed negative log-likelihood in nats and its number of tokens.

    The tokens from the row's `loss_start` on count. Rows of similar length go together, and the
    batches are divided between the processes.
    """
    enable_prefix_sharing(model)
    batches = by_length(row_lengths(input_ids), LOSS_BATCH)

    def all_losses(batches: Sequence[list[int]]) -> list[list[tuple[float, int]]]:
        with progress(batches, unit="batch") as bar:
            return [
                batch_losses(
                    model, *([values[n] for n in own] for values in (input_ids, loss_start))
                )
                for own in bar
            ]

    with torch.inference_mode(), packed_weights(model, tokens=LOSS_BATCH * TOKENS_PER_ROW):
        found = divide_among_processes(all_losses, batches)
    return [losses for _, losses in sorted(zip(chain(*batches), chain(*found), strict=True))]


def batch_losses(
    model: Any, input_ids: Sequence[list[int]], loss_start: Sequence[int]
) -> list[tuple[float, int]]:
    """Returns the `summed_losses` of rows that go through the model together."""
    batch = padded(input_ids, loss_start, 0)
    losses, row_of_loss = (tensor.cpu() for tensor in supervised_losses(model, batch))
    by_row = [losses[row_of_loss == row] for row in range(len(input_ids))]
    return list(map(summed, by_row))


def summed(losses: torch.Tensor) -> tuple[float, int]:
    """Returns the sum and the number of the losses (tokens,) of a row."""
    return losses.double().sum().item(), len(losses)
