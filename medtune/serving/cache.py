"""Keys and values of rows that join and leave at any step, each from its first place on.

A pass takes the last token of each row and, of rows that join, the rest of the prompt, as one row
of tokens: [row 1 | row 2 | …]. All layers but attention work token by token and notice nothing;
attention is told apart here.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from medtune.generation.kv_cache import Pass
from medtune.modeling.shared_prefix import allow_one_row, spread_out

ATTENTION = "sdpa_open_rows"
ROWS, PLACES = 8, 256  # memory is taken for multiples of so many rows and tokens
TOKENS = 8  # passes with prompts are filled up to a multiple: oneDNN prepares for each new number


def allow_open_rows(model: Any) -> bool:
    """Has the model take passes of an OpenCache, if it can; returns whether it can."""
    if allow_one_row(model):
        model.set_attn_implementation(ATTENTION)
    return model.config.get_text_config()._attn_implementation == ATTENTION


class OpenCache(Cache):
    """The cache of rows of any length, of which the longest may come to `room` tokens."""

    def __init__(self, model: Any) -> None:
        count = model.config.get_text_config().num_hidden_layers
        self.own_layers = [_Rows(self) for _ in range(count)]
        super().__init__(layers=[*self.own_layers])
        self.device = model.device
        self.beginning: list[int] = []
        self.clear()

    def clear(self) -> None:
        """Forgets all rows."""
        self.lengths = torch.empty(0, dtype=torch.long, device=self.device)  # in tokens, (rows,)
        self.room = 0
        for layer in self.own_layers:
            layer.shrink()

    def remember(self, beginning: list[int]) -> None:
        """Keeps keys and values of the first row, which holds what most prompts begin with."""
        self.beginning = beginning
        for layer in self.own_layers:
            layer.first = [kept[0, :, : len(beginning)].clone() for kept in layer.kept]

    def next_pass(self, tokens: torch.Tensor, new: Sequence[list[int]], room: int) -> Pass:
        """For one more token (rows,) of each row and the prompts of new rows behind them."""
        known = [self._known(ids) for ids in new]
        self.recalled = [(len(tokens) + n, length) for n, length in enumerate(known) if length]
        self.room = max(self.room, room)
        rests = [ids[length:] for ids, length in zip(new, known, strict=True)]
        counts = torch.tensor([1] * len(tokens) + [len(ids) for ids in rests], device=self.device)
        starts = torch.cat([self.lengths, self.lengths.new_tensor(known)])
        self.lengths = starts + counts
        steps = torch.arange(int(counts.max()), device=self.device)
        own = steps < counts[:, None]  # (rows, longest rest)
        places = starts[:, None] + steps
        self.rows, self.places = own.nonzero()[:, 0], places[own]  # of each token, (tokens,)
        self.longest = int(self.lengths.max())
        seen = torch.arange(self.longest, device=self.device) <= places[:, :, None]
        flat = torch.tensor([i for ids in rests for i in ids], dtype=torch.long)
        filling = (0, -len(self.places) % TOKENS if new else 0)
        return {
            "input_ids": pad(torch.cat([tokens, flat.to(self.device)]), filling)[None],
            "position_ids": pad(self.places, filling)[None],
            "attention_mask": (seen & own[:, :, None])[:, None],
        }

    def last(self, hidden: torch.Tensor) -> torch.Tensor:
        """The hidden state of each row's last token, (rows, dim)."""
        return hidden[0, : len(self.rows)][self.places == self.lengths[self.rows] - 1]

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

    def _known(self, prompt: list[int]) -> int:
        """How many tokens a prompt shares with the beginning, its last token aside."""
        pairs = zip(self.beginning, prompt[:-1], strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class _Rows(DynamicLayer):
    """One layer: keys and values, each (rows, heads, room, dim); those of the beginning."""

    def __init__(self, cache: OpenCache) -> None:
        super().__init__()
        self.cache = cache
        self.kept: list[torch.Tensor] = []
        self.first: list[torch.Tensor] = []  # (heads, beginning, dim)

    def shrink(self) -> None:
        if self.kept and (self.kept[0].shape[0] > ROWS or self.kept[0].shape[2] > PLACES):
            self.kept = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Adds the tokens of a pass (1, heads, tokens, dim); returns what attention needs."""
        cache, states = self.cache, (key_states, value_states)
        self._reserve(states)
        for row, length in cache.recalled:
            for kept, first in zip(self.kept, self.first, strict=True):
                kept[row, :, :length] = first[:, :length]
        for kept, new in zip(self.kept, states, strict=True):
            kept[cache.rows, :, cache.places] = new[0, :, : len(cache.rows)].transpose(0, 1)
        keys, values = (kept[: len(cache.lengths), :, : cache.longest] for kept in self.kept)
        return keys, values

    def _reserve(self, like: Sequence[torch.Tensor]) -> None:
        """Makes place for the cache's rows, of the kind of `like`."""
        rows, room = len(self.cache.lengths), self.cache.room
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


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """torch's attention on queries (1, heads, tokens, dim), keys and values (rows, heads, …, dim).

    The mask (rows, 1, longest rest, places) says what each token of a row sees, its first place at
    least; padding sees nothing. Rows of one token come first, what fills the pass up comes last.
    Any other mask is torch's own.
    """
    if attention_mask is None or attention_mask.shape[2] == query.shape[2]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    own = attention_mask[:, 0, :, 0]
    ones = int((own.sum(dim=1) == 1).long().cumprod(dim=0).sum())
    outputs = []
    if ones:
        single = query[:, :, :ones].transpose(0, 2)
        mask = attention_mask[:ones, :, :1]
        output, _ = sdpa_attention_forward(
            module, single, key[:ones], value[:ones], mask, **options
        )
        outputs.append(output[:, 0])
    if ones < len(own):
        rests = query[0, :, ones : int(own.sum())].transpose(0, 1)
        rests = spread_out(rests, own[ones:]).transpose(1, 2)
        mask = attention_mask[ones:]
        output, _ = sdpa_attention_forward(module, rests, key[ones:], value[ones:], mask, **options)
        outputs.append(output[own[ones:]])
    output = torch.cat(outputs)
    return pad(output, (0, 0, 0, 0, 0, query.shape[2] - len(output)))[None], None


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
