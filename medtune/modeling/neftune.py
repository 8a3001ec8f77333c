"""Uniform noise on the embeddings in training, against overfitting (NEFTune, arXiv 2310.05914)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def add_neftune(embeddings: Any, alpha: float) -> None:
    """Adds noise of size alpha / sqrt(columns · D) to embeddings (N, columns, D) in training.

    The columns are those of the padded batch, also if it runs as one packed row: each token then
    gets the noise that it would get in that batch (`packed_noise`), or other noise of the same size
    (`sized_noise`).
    """
    embeddings.neftune_noise_alpha = alpha
    embeddings.neftune_batch = None
    embeddings.neftune_size = None  # (1,) of the noise, if `sized_noise` says it

    def add_noise(module: Any, _: Any, output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        if module.neftune_size is not None:
            noise = output.new_empty(output.shape).uniform_(-1, 1)
            return output + module.neftune_size.to(output.dtype) * noise
        shape, indices = output.shape[:2], None
        if module.neftune_batch and module.neftune_batch[1].numel() == output.shape[1]:
            shape, indices = module.neftune_batch
        magnitude = noise_size(module, shape[1])
        noise = output.new_empty((*shape, output.shape[2])).uniform_(-magnitude, magnitude)
        if indices is not None:
            noise = noise.flatten(0, 1).index_select(0, indices)[None]
        return output + noise

    embeddings.register_forward_hook(add_noise)


def noise_size(embeddings: Any, columns: int) -> float:
    """Returns how large the noise of a padded batch is at most, which is 0 without NEFTune."""
    alpha: float = getattr(embeddings, "neftune_noise_alpha", 0.0)
    return alpha / (columns * embeddings.weight.shape[1]) ** 0.5


def is_noisy(embeddings: Any) -> bool:
    return hasattr(embeddings, "neftune_noise_alpha")


@contextmanager
def packed_noise(model: Any, shape: torch.Size, indices: torch.Tensor) -> Iterator[None]:
    """Within this context, a packed row gets the noise of a padded batch of this shape (N, S).

    `indices` (tokens,) int64 says which column of the batch each token of the row came from,
    counted through all rows.
    """
    embeddings = model.get_input_embeddings()
    if not is_noisy(embeddings):
        yield
        return
    embeddings.neftune_batch = shape, indices.to(model.device)
    try:
        yield
    finally:
        embeddings.neftune_batch = None


@contextmanager
def sized_noise(model: Any, size: torch.Tensor) -> Iterator[None]:
    """Within this context, noise of this size (1,) is drawn for the tokens that run.

    A CUDA graph draws so many numbers as were recorded; their size may change.
    """
    embeddings = model.get_input_embeddings()
    if not is_noisy(embeddings):
        yield
        return
    embeddings.neftune_size = size
    try:
        yield
    finally:
        embeddings.neftune_size = None
