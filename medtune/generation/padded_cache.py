"""transformers' own cache, for models whose attention cannot take packed rows."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from medtune.generation.kv_cache import cached_logits
from medtune.modeling.forward import ModelInputs


class PaddedCache(DynamicCache):
    """transformers' cache with the methods of a SharedPrefixCache, for prompts padded on the left.

    It serves models whose attention cannot take packed rows, such as those with sliding windows.
    """

    def __init__(self, model: Any, prompts: Sequence[list[int]], max_new_tokens: int) -> None:
        super().__init__(config=model.config)
        self.model = model
        width = max(len(ids) for ids in prompts)
        padded = [[0] * (width - len(ids)) + ids for ids in prompts]
        self.ids = torch.tensor(padded, device=model.device)  # (N, width)
        columns = torch.arange(width + max_new_tokens, device=model.device)  # (C,)
        lengths = torch.tensor([len(ids) for ids in prompts], device=model.device)  # (N,)
        self.positions = columns - (width - lengths)[:, None]  # (N, C), negative in padding
        self.length = width  # columns in use

    def prefill_inputs(self) -> Iterator[ModelInputs]:
        yield self._inputs(self.ids)

    def next_inputs(self, tokens: torch.Tensor) -> ModelInputs:
        self.length += 1
        return self._inputs(tokens[:, None])

    def _inputs(self, ids: torch.Tensor) -> ModelInputs:
        """Returns the inputs for the last columns, whose ids (N, columns) are given."""
        positions = self.positions[:, : self.length]
        return {
            "input_ids": ids,
            "position_ids": positions[:, -ids.shape[1] :].clamp(min=0),
            "attention_mask": (positions >= 0).long(),  # (N, length)
        }

    def next_logits(self, inputs: ModelInputs) -> torch.Tensor:
        rows, columns = inputs["input_ids"].shape
        indices = columns * torch.arange(1, rows + 1, device=self.positions.device) - 1  # (N,)
        return cached_logits(self.model, self, indices, inputs)

    def keep(self, rows: Sequence[int]) -> list[int]:
        # Every layer of transformers can reorder its rows; only some can select among them.
        indices: Any = torch.tensor(rows, device=self.positions.device)
        self.reorder_cache(indices)
        self.positions = self.positions[rows]
        return list(rows)
