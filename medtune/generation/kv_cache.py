"""Keys and values of the rows that are being answered, filled in place.

The prompts go through the decoder some at a time, as one row that medtune.modeling.shared_prefix
makes: [beginning | rest of prompt 1 | rest of prompt 2 | …], shorter rests padded on the left. From
then on each row gets one token a step. A row that has ended leaves, and the last takes its place.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

PROMPTS_AT_ONCE = 32  # enough for full speed; more would need more padding

Pass = dict[str, torch.Tensor]  # a decoder's arguments


class RowCache(Cache):
    """The cache of prompts (token ids), with room for `max_new_tokens` more each."""

    def __init__(self, model: Any, prompts: Sequence[list[int]], max_new_tokens: int) -> None:
        count = model.config.get_text_config().num_hidden_layers
        self.own_layers = [_Rows(self) for _ in range(count)]
        super().__init__(layers=[*self.own_layers])
        self.prompts, self.rows = prompts, len(prompts)
        self.device = model.device
        lengths = torch.tensor([len(ids) for ids in prompts], device=self.device)
        self.length = int(lengths.max())  # places in use
        self.room = self.length + max_new_tokens
        columns = zip(*(ids[:-1] for ids in prompts), strict=False)
        self.shared = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, columns))
        self.positions = lengths - 1  # of each row's last token
        places = torch.arange(self.room, device=self.device)
        padding = (self.length - lengths)[:, None]
        # (rows, room): what later tokens of a row see, all but its padding
        self.seen = (places < self.shared) | (places >= self.shared + padding)
        self.filled = slice(0, 0)  # the rows of the present first pass

    def first_passes(self) -> Iterator[Pass]:
        """For all prompts, some at a time, each to be taken before the next."""
        for start in range(0, self.rows, PROMPTS_AT_ONCE):
            self.filled = slice(start, min(start + PROMPTS_AT_ONCE, self.rows))
            yield self._first_pass(self.prompts[self.filled])

    def _first_pass(self, prompts: Sequence[list[int]]) -> Pass:
        shared, length = self.shared, max(len(ids) for ids in prompts)
        rests = torch.tensor([[0] * (length - len(ids)) + ids[shared:] for ids in prompts])
        ids = torch.cat([torch.tensor(prompts[0][:shared], dtype=torch.long), rests.flatten()])
        padding = torch.tensor([length - len(ids) for ids in prompts])[:, None]
        places = torch.arange(length)
        own = places[shared:, None]
        seen = (places < shared) | (places >= shared + padding)
        mask = seen[:, None, None] & (places <= own) | (places == own)  # padding sees itself
        positions = (places[shared:] - padding).clamp(min=0)
        return {
            "input_ids": ids[None].to(self.device),
            "position_ids": torch.cat([places[:shared], positions.flatten()])[None].to(self.device),
            "attention_mask": mask.to(self.device),
        }

    def last(self, hidden: torch.Tensor) -> torch.Tensor:
        """The hidden state of each row's last token, (rows, dim), of those that a pass gives."""
        if hidden.shape[1] > 1:
            rows = self.filled.stop - self.filled.start
            hidden = hidden[0, self.shared :].unflatten(0, (rows, -1))
        return hidden[:, -1]

    def next_pass(self, tokens: torch.Tensor) -> Pass:
        """For one more token (rows,) of each row."""
        self.positions = self.positions + 1
        self.length += 1
        return {
            "input_ids": tokens[:, None],
            "position_ids": self.positions[:, None],
            "attention_mask": self.seen[:, None, None, : self.length],
        }

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Keeps these rows; returns them in the order in which they now stand."""
        order = list(range(len(rows)))
        free = [place for place in order if place not in set(rows)]
        for place, row in zip(free, (row for row in rows if row >= len(rows)), strict=True):
            order[place] = row
            for layer in self.own_layers:
                layer.move(row, place)
        self.rows = len(rows)
        self.seen, self.positions = self.seen[order], self.positions[order]
        return order


class PaddedCache(DynamicCache):
    """The same for models that can't share a prefix: whole prompts, padded on the left."""

    def __init__(self, model: Any, prompts: Sequence[list[int]], max_new_tokens: int) -> None:
        super().__init__(config=model.config)
        width = max(len(ids) for ids in prompts)
        padded = [[0] * (width - len(ids)) + ids for ids in prompts]
        self.ids = torch.tensor(padded, device=model.device)
        places = torch.arange(width + max_new_tokens, device=model.device)
        lengths = torch.tensor([len(ids) for ids in prompts], device=model.device)
        self.positions = places - (width - lengths)[:, None]  # (rows, room), negative in padding
        self.length = width

    def first_passes(self) -> Iterator[Pass]:
        yield self._pass(self.ids)

    def last(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden[:, -1]

    def next_pass(self, tokens: torch.Tensor) -> Pass:
        self.length += 1
        return self._pass(tokens[:, None])

    def _pass(self, ids: torch.Tensor) -> Pass:
        positions = self.positions[:, : self.length]
        return {
            "input_ids": ids,
            "position_ids": positions[:, -ids.shape[1] :].clamp(min=0),
            "attention_mask": (positions >= 0).long(),
        }

    def keep(self, rows: Sequence[int]) -> list[int]:
        self.batch_select_indices(torch.tensor(rows, device=self.positions.device))
        self.positions = self.positions[rows]
        return list(rows)


class _Rows(DynamicLayer):
    """One layer: keys and values, each (rows, heads, room, dim)."""

    def __init__(self, cache: RowCache) -> None:
        super().__init__()
        self.cache = cache
        self.kept: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds what a pass has computed; returns what its attention needs."""
        rows, length = self.cache.rows, self.cache.length
        if key_states.shape[0] == 1 and key_states.shape[2] > 1:
            self._fill(key_states, value_states)
            return key_states, value_states
        for kept, new in zip(self.kept, (key_states, value_states), strict=True):
            kept[:rows, :, length - 1 : length] = new
        keys, values = (kept[:rows, :, :length] for kept in self.kept)
        return keys, values

    def move(self, row: int, place: int) -> None:
        for kept in self.kept:
            kept[place, :, : self.cache.length] = kept[row, :, : self.cache.length]

    def _fill(self, *states: torch.Tensor) -> None:
        """Spreads keys and values (1, heads, shared + rows · rest, dim) over the rows."""
        cache, (_, heads, _, dim) = self.cache, states[0].shape
        if not self.kept:
            self.kept = [s.new_empty((cache.rows, heads, cache.room, dim)) for s in states]
            for kept in self.kept:  # padding is not seen, yet must be finite
                kept[:, :, cache.shared : cache.length] = 0
        for kept, new in zip(self.kept, states, strict=True):
            rows = kept[cache.filled]
            rows[:, :, : cache.shared] = new[:, :, : cache.shared]
            rests = new[0, :, cache.shared :].unflatten(1, (len(rows), -1)).transpose(0, 1)
            rows[:, :, cache.length - rests.shape[2] : cache.length] = rests
