"""Answers whose rows join and leave between two tokens: for whoever is asked now and then.

What a row is answered depends on its prompt, its settings and its seed, not on the others; greedy
answers are those of medtune.generation.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

from medtune.generation import Chooser, last_states
from medtune.losses import head_logits
from medtune.one_row import allow_one_row
from medtune.params import Evaluate
from medtune.row_cache import PaddedCache, Pass, RowCache

ROWS, PLACES = 8, 256  # memory is taken for multiples of so many rows and tokens


class OpenBatch:
    """A batch of `model`; `select` is called before each use and may switch its adapter."""

    def __init__(self, model: Any, select: Callable[[], object] = lambda: None) -> None:
        self.model, self.select = model, select
        self.one_row = allow_one_row(model)
        self.clear()

    @property
    def is_open(self) -> bool:
        """Whether rows may join now: a model that sees a part of a row wants an empty batch."""
        return self.one_row or not self.choosers

    def clear(self) -> None:
        self.cache: Any = None
        self.choosers: list[Chooser] = []
        self.tokens = torch.empty(0, dtype=torch.long, device=self.model.device)

    @torch.inference_mode()
    def join(
        self, prompts: Sequence[list[int]], params: Sequence[Evaluate], seeds: Sequence[Any]
    ) -> list[int]:
        """Adds rows behind those there are; returns the first token of each."""
        self.select()
        room = [len(p) + o.max_new_tokens for p, o in zip(prompts, params, strict=True)]
        if self.one_row:
            cache: Any = RowCache(self.model, prompts, 0)
        else:
            cache = self.cache = PaddedCache(self.model, prompts, max(room))
        passes = cache.first_passes()
        hidden = torch.cat([last_states(self.model, cache, inputs) for inputs in passes])
        if self.one_row:
            self.cache = self.cache or OpenCache(self.model)
            self.cache.join(cache, max(room))
        new = zip(prompts, params, seeds, strict=True)
        choosers = [Chooser([ids], own, [seed]) for ids, own, seed in new]
        tokens = self._choose(hidden, choosers)
        self.choosers += choosers
        self.tokens = torch.cat([self.tokens, tokens])
        return tokens.tolist()

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Returns the next token of each row."""
        self.select()
        inputs = self.cache.next_pass(self.tokens)
        hidden = last_states(self.model, self.cache, inputs)
        self.tokens = self._choose(hidden, self.choosers)
        return self.tokens.tolist()

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> list[int]:
        """Keeps these rows; returns them in the order in which they now stand."""
        if not rows:
            self.clear()
            return []
        order = self.cache.keep(rows)
        self.choosers = [self.choosers[row] for row in order]
        self.tokens = self.tokens[order]
        return order

    def _choose(self, hidden: torch.Tensor, choosers: Sequence[Chooser]) -> torch.Tensor:
        logits = head_logits(self.model, hidden)
        chosen = [choose(logits[row : row + 1]) for row, choose in enumerate(choosers)]
        return torch.cat(chosen)


class OpenCache(Cache):
    """Keys and values of rows of any length, each from its first place on."""

    def __init__(self, model: Any) -> None:
        count = model.config.get_text_config().num_hidden_layers
        self.own_layers = [_Rows(self) for _ in range(count)]
        super().__init__(layers=[*self.own_layers])
        self.lengths = torch.empty(0, dtype=torch.long, device=model.device)  # in tokens, (rows,)

    def join(self, cache: RowCache, room: int) -> None:
        """Adds the rows of a cache that has no free places; each will need up to `room`."""
        first, lengths = len(self.lengths), cache.positions + 1
        self.lengths = torch.cat([self.lengths, lengths])
        for own, other in zip(self.own_layers, cache.own_layers, strict=True):
            own.reserve(other.kept, len(self.lengths), room)
            for kept, new in zip(own.kept, other.kept, strict=True):
                for row, length in enumerate(lengths.tolist()):
                    kept[first + row, :, :length] = new[row, :, cache.seen[row]]

    def next_pass(self, tokens: torch.Tensor) -> Pass:
        """For one more token (rows,) of each row."""
        places = self.lengths[:, None]
        self.lengths = self.lengths + 1
        seen = torch.arange(int(self.lengths.max()), device=places.device) <= places
        return {
            "input_ids": tokens[:, None],
            "position_ids": places,
            "attention_mask": seen[:, None, None],
        }

    def last(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden[:, -1]

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Keeps these rows; returns them in the order in which they now stand."""
        order = list(range(len(rows)))
        free = [place for place in order if place not in set(rows)]
        for place, row in zip(free, (row for row in rows if row >= len(rows)), strict=True):
            order[place] = row
            for layer in self.own_layers:
                for kept in layer.kept:
                    kept[place, :, : self.lengths[row]] = kept[row, :, : self.lengths[row]]
        self.lengths = self.lengths[order]
        return order


class _Rows(DynamicLayer):
    """One layer: keys and values, each (rows, heads, room, dim)."""

    def __init__(self, cache: OpenCache) -> None:
        super().__init__()
        self.cache = cache
        self.kept: list[torch.Tensor] = []

    def reserve(self, like: Sequence[torch.Tensor], rows: int, room: int) -> None:
        """Makes place for so many rows of so many tokens, of the kind of `like`."""
        if self.kept:
            rows, room = max(rows, self.kept[0].shape[0]), max(room, self.kept[0].shape[2])
            if self.kept[0].shape[::2] == (rows, room):
                return
        rows, room = -(-rows // ROWS) * ROWS, -(-room // PLACES) * PLACES
        # What no row sees must still be finite.
        larger = [s.new_zeros((rows, s.shape[1], room, s.shape[3])) for s in like]
        for kept, new in zip(self.kept, larger, strict=False):
            new[: kept.shape[0], :, : kept.shape[2]] = kept
        self.kept = larger

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds one token of each row; returns what its attention needs."""
        lengths = self.cache.lengths
        rows, longest = torch.arange(len(lengths), device=lengths.device), int(lengths.max())
        for kept, new in zip(self.kept, (key_states, value_states), strict=True):
            kept[rows, :, lengths - 1] = new[:, :, 0]
        keys, values = (kept[: len(lengths), :, :longest] for kept in self.kept)
        return keys, values
