"""Keys and values of rows that join and leave at any step (continuous batching).

Each row has a slot and starts in its first column, so rows of different age have different lengths:

    column       0 1 2 3 4 5
    slot 0       a a a a a .     has run for a while
    slot 1       b b b . . .
    slot 2       . . . . . .     free for the next row

In one pass, each running row takes its newest token and each joining row its whole prompt. They go
through the decoder as one packed row without padding:

    tokens       a  b  c c c c
    positions    5  3  0 1 2 3

All layers but attention work on each token alone. `_attend` sorts the tokens: those of
running rows go through attention together, one query each; those of joining rows are unpacked into
padded rows. This is the selective batching of Orca (Yu et al., OSDI 2022).

One prefix can be saved, such as the chat template with the system prompt (prefix caching). As far
as a prompt agrees with it, its keys and values are copied instead of computed.

Comments give shapes in these letters:

    N  rows, running and joining             H  heads (fewer for keys and values)
    T  tokens of a pass, all rows together   E  size of a head
    R  tokens of the row that takes most     C  capacity in columns
    L  columns in use by the longest row     D  hidden size
"""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from medtune.generation.kv_cache import SlotCache, SlotLayer, cached_logits
from medtune.modeling.collation import common_prefix_length
from medtune.modeling.forward import ModelInputs
from medtune.modeling.logit_checks import Probe, at_rest, enable_prefix_sharing
from medtune.modeling.shared_prefix import attend_from_one_token

logger = logging.getLogger("medtune")

ATTENTION = "sdpa_continuous_batching"  # the name under which transformers finds `_attend`
SLOT_STEP, COLUMN_STEP = 8, 256  # memory is reserved in multiples of so many slots and columns
TOKEN_STEP = 8  # passes with prompts are padded to a multiple: oneDNN prepares for each new size


def enable_continuous_batching(model: Any) -> bool:
    """Lets the model take the passes of a ContinuousCache if it can; returns whether it can.

    It can if they give the model's own logits. From then on it pads other batches, instead of
    packing them with a shared prefix.
    """
    if enable_prefix_sharing(model):
        before = model.config.get_text_config()._attn_implementation
        with at_rest(model):
            probe = Probe.of(model)
            model.set_attn_implementation(ATTENTION)
            objection = probe.objection(partial(_probe_passes, model, probe))
        if objection:
            model.set_attn_implementation(before)
            logger.info(f"questions wait for the batch before them to end ({objection})")
    return model.config.get_text_config()._attn_implementation == ATTENTION


def _probe_passes(model: Any, probe: Probe) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs the probe's rows, of which one comes later and one leaves early."""
    first, second, third = probe.rows
    cache = ContinuousCache(model)
    cache.join([first[:-2], second[:-2]], len(first))
    found = [cache.next_logits(cache.next_inputs(cache.lengths))]
    cache.join([third[:-2]], len(first))
    tokens = torch.tensor([first[-2], second[-2]], device=model.device)
    found.append(cache.next_logits(cache.next_inputs(tokens)))
    order = cache.keep([1, 2])
    tokens = torch.tensor([0, second[-1], third[-2]], device=model.device)[order]
    found.append(cache.next_logits(cache.next_inputs(tokens)))
    columns = [(0, -3), (1, -3), (0, -2), (1, -2), (2, -3)]
    columns += [{1: (1, -1), 2: (2, -2)}[row] for row in order]
    return torch.cat(found), torch.stack([probe.logits[row][column] for row, column in columns])


class ContinuousCache(SlotCache):
    """The cache of rows of any length. `join` announces new ones, the next pass adds them."""

    slot_layers: Sequence["_ContinuousLayer"]

    def __init__(self, model: Any) -> None:
        count = model.config.get_text_config().num_hidden_layers
        super().__init__(model, [_ContinuousLayer(self) for _ in range(count)])
        self.prefix: list[int] = []  # the saved prefix (token ids)
        self.clear()

    def clear(self) -> None:
        """Drops all rows; the saved prefix stays."""
        self.lengths = torch.empty(0, dtype=torch.long, device=self.device)  # (N,) in tokens
        self.joining: list[list[int]] = []  # prompts of the rows that join in the next pass
        self.capacity = 0  # columns that the longest row may need
        for layer in self.slot_layers:
            layer.shrink()

    def save_prefix(self, prefix: list[int]) -> None:
        """Saves the keys and values of the first row, whose prompt was `prefix`."""
        self.prefix = prefix
        for layer in self.slot_layers:
            layer.prefix = [buffer[0, :, : len(prefix)].clone() for buffer in layer.buffers]

    def join(self, prompts: Sequence[list[int]], capacity: int) -> None:
        """Adds rows in the next pass, none of which grows beyond `capacity` tokens."""
        self.joining += prompts
        self.capacity = max(self.capacity, capacity)

    def next_inputs(self, tokens: torch.Tensor) -> ModelInputs:
        """Returns the inputs that append one token to each running row and add the joining rows.

        `tokens` has one id for each running row; joining rows come after them.
        """
        saved = [common_prefix_length([self.prefix, ids[:-1]]) for ids in self.joining]
        numbered = enumerate(saved, start=len(tokens))
        self.prefix_lengths = {row: length for row, length in numbered if length}
        suffixes = [ids[length:] for ids, length in zip(self.joining, saved, strict=True)]
        # What this pass adds to each row: (N,) tokens from column `starts` (N,) on.
        counts = self.lengths.new_tensor([1] * len(tokens) + [len(ids) for ids in suffixes])
        starts = torch.cat([self.lengths, self.lengths.new_tensor(saved)])  # (N,)
        self.lengths = starts + counts  # (N,)
        steps = torch.arange(int(counts.max()), device=self.device)  # (R,)
        is_token = steps < counts[:, None]  # (N, R)
        positions = starts[:, None] + steps  # (N, R)
        # Where each token of the pass goes: (T,) each. Its position is also its column.
        self.token_rows, self.token_columns = is_token.nonzero()[:, 0], positions[is_token]
        self.longest = int(self.lengths.max())  # L
        causal = torch.arange(self.longest, device=self.device) <= positions[:, :, None]  # (N,R,L)
        input_ids = torch.cat([tokens, tokens.new_tensor([*chain(*suffixes)])])  # (T,)
        # Shapes give the filling as "…", here (T + …,). It is 0 to TOKEN_STEP - 1 tokens.
        filling = (0, -len(input_ids) % TOKEN_STEP if self.joining else 0)
        self.joining = []
        return {
            "input_ids": pad(input_ids, filling)[None],  # (1, T + …)
            "position_ids": pad(self.token_columns, filling)[None],  # (1, T + …)
            "attention_mask": (causal & is_token[:, :, None])[:, None],  # (N, 1, R, L)
        }

    def next_logits(self, inputs: ModelInputs) -> torch.Tensor:
        """Runs a pass; the last token of a row is in the row's last column."""
        is_last = self.token_columns == self.lengths[self.token_rows] - 1  # (T,)
        return cached_logits(self.model, self, is_last.nonzero()[:, 0], inputs)

    def keep(self, rows: Sequence[int]) -> list[int]:
        order = self.close_gaps(rows, self.lengths.tolist())
        self.lengths = self.lengths[order]
        return order


class _ContinuousLayer(SlotLayer):
    """One layer of a ContinuousCache."""

    def __init__(self, cache: ContinuousCache) -> None:
        super().__init__()
        self.cache = cache
        self.prefix: list[torch.Tensor] = []  # keys and values of the saved prefix, (H, length, E)

    def shrink(self) -> None:
        """Frees the buffers if they are larger than the minimum."""
        if self.buffers:
            slots, _, columns, _ = self.buffers[0].shape
            if slots > SLOT_STEP or columns > COLUMN_STEP:
                self.buffers = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Stores a pass's keys and values (1, H, T + …, E); returns those in use, (N, H, L, E)."""
        cache, states = self.cache, (key_states, value_states)
        self._reserve(states)
        for row, length in cache.prefix_lengths.items():
            for buffer, prefix in zip(self.buffers, self.prefix, strict=True):
                buffer[row, :, :length] = prefix[:, :length]
        for buffer, new in zip(self.buffers, states, strict=True):
            tokens = new[0, :, : len(cache.token_rows)].transpose(0, 1)  # (T, H, E)
            buffer[cache.token_rows, :, cache.token_columns] = tokens
        rows, longest = len(cache.lengths), cache.longest
        keys, values = (buffer[:rows, :, :longest] for buffer in self.buffers)
        return keys, values

    def _reserve(self, like: Sequence[torch.Tensor]) -> None:
        """Grows the buffers to the cache's rows and capacity, in the dtype and heads of `like`."""
        slots, columns = len(self.cache.lengths), self.cache.capacity
        if self.buffers:
            old_slots, _, old_columns, _ = self.buffers[0].shape
            if slots <= old_slots and columns <= old_columns:
                return
            slots, columns = max(slots, old_slots), max(columns, old_columns)
        slots, columns = _round_up(slots, SLOT_STEP), _round_up(columns, COLUMN_STEP)
        # Zeros: NaN would spoil attention even where the mask hides it.
        larger = [s.new_zeros((slots, s.shape[1], columns, s.shape[3])) for s in like]
        for old, new in zip(self.buffers, larger, strict=False):
            new[: old.shape[0], :, : old.shape[2]] = old
        self.buffers = larger


def unpack(tokens: torch.Tensor, is_token: torch.Tensor) -> torch.Tensor:
    """Turns packed tokens (T, …) into rows (N, R, …) with zeros for padding.

    `is_token` (N, R) is true in T places, which are filled row by row.
    """
    rows = tokens.new_zeros((*is_token.shape, *tokens.shape[1:]))
    rows[is_token] = tokens
    return rows


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention over a packed pass; returns (1, T + …, H, E), zeros for the filling.

    `query` is (1, H, T + …, E), `key` and `value` are (N, H, L, E), `attention_mask` is
    (N, 1, R, L) bool and false throughout for padding. Rows of one token come first. A mask with
    as many rows as there are queries belongs to a batch that is not packed: torch gets it as it is.
    """
    if attention_mask is None or attention_mask.shape[2] == query.shape[2]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    is_token = attention_mask[:, 0, :, 0]  # (N, R): each token attends to column 0
    singles = int((is_token.sum(dim=1) == 1).long().cumprod(dim=0).sum())  # leading rows of one
    outputs = []
    if singles:
        single_queries = query[:, :, :singles].transpose(0, 2)  # (singles, H, 1, E)
        mask = attention_mask[:singles, :, :1]
        output, _ = attend_from_one_token(
            single_queries, key[:singles], value[:singles], mask, options.get("scaling")
        )  # (singles, 1, H, E)
        outputs.append(output[:, 0])
    if singles < len(is_token):
        others = is_token[singles:]  # (N - singles, R)
        packed = query[0, :, singles : int(is_token.sum())].transpose(0, 1)  # (T - singles, H, E)
        queries = unpack(packed, others).transpose(1, 2)  # (N - singles, H, R, E)
        output, _ = sdpa_attention_forward(
            module, queries, key[singles:], value[singles:], attention_mask[singles:], **options
        )  # (N - singles, R, H, E)
        outputs.append(output[others])
    output = torch.cat(outputs)  # (T, H, E)
    return pad(output, (0, 0, 0, 0, 0, query.shape[2] - len(output)))[None], None


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)  # for batches that are not packed
