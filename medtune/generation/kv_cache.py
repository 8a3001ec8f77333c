"""Keys and values of the rows that are being answered, kept so that no token runs twice.

A row is one prompt and its answer. The cache reserves memory for whole answers at the start; each
row has a slot in it. The prompts share a prefix `p p`, and their suffixes are padded on the left,
so that the next token `n` of all rows goes to the same column:

    column       0 1  2 3 4  5 6
    slot 0       p p  a a a  n _
    slot 1       p p  . . b  n _      .  padding, hidden by the key mask
    slot 2       p p  . c c  n _      _  reserved, not yet in use
                prefix suffix answer

The prompts run first (prefill), in groups that are packed as in medtune.modeling.shared_prefix. The
prefix runs once for each group and is copied into all its slots. In the same pass, a reference may
follow each prompt: its loss is taken, and its keys and values are dropped. Then each row runs one
token a step (decode). When a row has ended, a row from the last slots moves into its slot.

transformers' own cache copies all keys and values at each step, to append one column. It remains
in use for models that cannot share a prefix (medtune.generation.padded_cache). Answers are the same
either way, up to rounding.

Comments give shapes in these letters:

    N  rows                  P  tokens of the shared prefix      H  heads of keys and values
    C  capacity in columns   R  columns of a group's suffixes    E  size of a head
    D  hidden size           T  tokens of a group's suffixes and references, without padding
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.nn.functional import cross_entropy
from transformers.cache_utils import Cache, DynamicLayer

from medtune.generation.batch_limits import GPU_TOKENS_AT_ONCE, TOKENS_AT_ONCE
from medtune.modeling.batch_limits import LOGITS_AT_ONCE
from medtune.modeling.collation import common_prefix_length
from medtune.modeling.forward import ModelInputs, logits_at
from medtune.modeling.shared_prefix import CONTEXT, PADDING, PackedRow, SuffixLayout, masked_row


class GenerationCache(Protocol):
    """What a generation loop asks of a cache; the model uses it as a transformers `Cache`."""

    def prefill_inputs(self) -> Iterator[ModelInputs]:
        """Yields the inputs of the passes that run the prompts, one after the other."""

    def next_inputs(self, tokens: torch.Tensor) -> ModelInputs:
        """Returns the inputs that append one token (N,) to each row."""

    def next_logits(self, inputs: ModelInputs) -> torch.Tensor:
        """Runs the model; returns the logits (rows, vocabulary) after each row's last token."""

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drops all rows but these. Returns the old number of each row, in its new order."""


def cached_logits(
    model: Any, cache: Cache, indices: torch.Tensor, inputs: ModelInputs
) -> torch.Tensor:
    """Runs a model with a cache; returns the logits (K, vocabulary) of the tokens at K indices."""
    return logits_at(model, indices, **inputs, past_key_values=cache, use_cache=True)


def prediction_indices(
    suffixes: Sequence[int], references: Sequence[int]
) -> tuple[torch.Tensor, list[int]]:
    """Returns which tokens of a prefill pass, after its prefix, predict the next one of interest.

    These are each prompt's last token and those of its reference but for the last one. `suffixes`
    and `references` (N,) are lengths in tokens. The second result is how many of them a row has.

    >>> prediction_indices([3, 2], [0, 2])
    (tensor([2, 4, 5]), [1, 2])
    """
    counts = torch.tensor(references).clamp(min=1)  # (N,)
    ends = (torch.tensor(suffixes) + counts - 1).cumsum(0)  # (N,) of the rows
    first = ends - counts  # (N,) each prompt's last token
    steps = torch.arange(int(counts.sum())) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return first.repeat_interleave(counts) + steps, counts.tolist()


def row_bytes(model: Any, columns: int) -> int:
    """Returns what one row takes: its keys and values, and its logits with their copies."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 1  # none: as if all were one head
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    heads = getattr(config, "num_key_value_heads", None) or heads
    states = 2 * config.num_hidden_layers * heads * size * columns
    return states * model.dtype.itemsize + 3 * 4 * config.vocab_size


class SlotLayer(DynamicLayer):
    """The keys and values of one decoder layer, with a slot for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[torch.Tensor] = []  # keys and values, each (slots, H, C, E)

    def move(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` columns of one slot to another."""
        for buffer in self.buffers:
            buffer[target, :, :length] = buffer[source, :, :length]


class SlotCache(Cache):
    """A cache whose rows occupy the first slots of its layers, without a gap."""

    def __init__(self, model: Any, slot_layers: Sequence[SlotLayer]) -> None:
        super().__init__(layers=[*slot_layers])
        self.model, self.slot_layers = model, slot_layers
        self.device = model.device

    def close_gaps(self, rows: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """Moves these rows into the first slots; returns which row each slot now holds.

        As few rows move as possible: those in the last slots, into slots that have become free.
        `lengths` says for every old row how many of its columns to copy.
        """
        order = list(range(len(rows)))
        free = [slot for slot in order if slot not in set(rows)]
        moving = [row for row in rows if row >= len(rows)]
        for slot, row in zip(free, moving, strict=True):
            order[slot] = row
            for layer in self.slot_layers:
                layer.move(row, slot, lengths[row])
        return order


class SharedPrefixCache(SlotCache):
    """The cache of prompts (token ids) and of up to `max_new_tokens` more tokens for each.

    `references` are texts (token ids) whose loss behind each prompt is wanted, or none.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[list[int]],
        max_new_tokens: int,
        references: Sequence[list[int]] = (),
    ) -> None:
        count = model.config.get_text_config().num_hidden_layers
        super().__init__(model, [_SharedPrefixLayer(self) for _ in range(count)])
        self.prompts, self.row_count = prompts, len(prompts)
        self.references = references or [[] for _ in prompts]
        # (tokens,) negative log-likelihoods of each reference in nats, once the prompts have run
        self.reference_losses: list[torch.Tensor] = []
        lengths = torch.tensor([len(ids) for ids in prompts], device=self.device)  # (N,)
        self.length = int(lengths.max())  # columns in use
        self.capacity = self.length + max_new_tokens
        # Each row keeps at least its last token as a suffix: its state chooses the next token.
        self.prefix_length = common_prefix_length([ids[:-1] for ids in prompts])
        self.positions = lengths - 1  # (N,) of each row's last token
        columns = torch.arange(self.capacity, device=self.device)  # (C,)
        padding = (self.length - lengths)[:, None]  # (N, 1) columns between prefix and suffix
        # (N, C) bool: every column but padding; columns to come count as well
        self.key_mask = (columns < self.prefix_length) | (columns >= self.prefix_length + padding)
        self.group = slice(0, 0)  # the rows of the present prefill pass; none in a decode pass
        self.layout = SuffixLayout(0, (0, 0), lengths[:0])  # of that pass
        # (1,) where a decode pass writes, if all columns shall take part; else the last in use
        self.column: torch.Tensor | None = None

    def prefill_inputs(self) -> Iterator[ModelInputs]:
        """Yields the inputs of one pass for each group of prompts, to be run in this order."""
        tokens = GPU_TOKENS_AT_ONCE if self.device.type == "cuda" else TOKENS_AT_ONCE
        longest = max(map(len, self.references))
        size = tokens // (self.length + longest)
        if longest:
            vocabulary = self.model.get_output_embeddings().weight.shape[0]
            size = min(size, LOGITS_AT_ONCE // (longest * vocabulary))
        size = max(1, size)
        for start in range(0, self.row_count, size):
            self.group = slice(start, min(start + size, self.row_count))
            packed = self._packed(self.prompts[self.group], self.references[self.group])
            assert isinstance(packed.layout, SuffixLayout)
            self.layout = packed.layout
            yield vars(packed)

    def _packed(self, prompts: Sequence[list[int]], references: Sequence[list[int]]) -> PackedRow:
        """Packs the prefix, then each prompt's suffix with its reference, but for the last token.

        The suffixes end in the same column, so that the cache takes their keys and values at once.
        """
        prefix, length = self.prefix_length, max(len(ids) for ids in prompts)
        width = length + max(0, *(len(ids) - 1 for ids in references))
        rows, segments = [], []
        for prompt, reference in zip(prompts, references, strict=True):
            suffix = prompt[prefix:] + reference[:-1]
            left = length - len(prompt)
            right = width - left - prefix - len(suffix)
            rows.append([*prompt[:prefix], *[0] * left, *suffix, *[0] * right])
            parts = (CONTEXT, prefix), (PADDING, left), (CONTEXT, len(suffix)), (PADDING, right)
            segments.append([segment for segment, count in parts for _ in range(count)])
        return masked_row(self.model, torch.tensor(rows), torch.tensor(segments), prefix)

    def next_inputs(self, tokens: torch.Tensor) -> ModelInputs:
        self.positions = self.positions + 1
        self.length += 1
        return {
            "input_ids": tokens[:, None],  # (N, 1)
            "position_ids": self.positions[:, None],  # (N, 1)
            "attention_mask": self.key_mask[:, None, None, : self.length],  # (N, 1, 1, length)
        }

    def next_logits(self, inputs: ModelInputs) -> torch.Tensor:
        if "layout" not in inputs:
            self.group = slice(0, 0)
            indices = torch.arange(len(inputs["input_ids"]), device=self.device)
            return cached_logits(self.model, self, indices, inputs)
        references = self.references[self.group]
        suffixes = [len(ids) - self.prefix_length for ids in self.prompts[self.group]]
        indices, counts = prediction_indices(suffixes, [len(ids) for ids in references])
        indices = (self.prefix_length + indices).to(self.device)
        logits = cached_logits(self.model, self, indices, inputs).split(counts)
        for ids, own in zip(references, logits, strict=True):  # own (tokens, vocabulary)
            targets = torch.tensor(ids, dtype=torch.long, device=self.device)
            self.reference_losses.append(cross_entropy(own[: len(ids)], targets, reduction="none"))
        return torch.stack([own[0] for own in logits])

    def keep(self, rows: Sequence[int]) -> list[int]:
        order = self.close_gaps(rows, [self.length] * self.row_count)
        self.row_count = len(rows)
        self.key_mask, self.positions = self.key_mask[order], self.positions[order]
        return order


class _SharedPrefixLayer(SlotLayer):
    """One layer of a SharedPrefixCache."""

    def __init__(self, cache: SharedPrefixCache) -> None:
        super().__init__()
        self.cache = cache

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Stores the keys and values of a pass; returns those that its attention needs.

        A prefill pass gives and gets (1, H, P + T, E). A decode pass gives (N, H, 1, E) and
        gets (N, H, length, E), or all columns if the cache names the one to write.
        """
        if self.cache.group.stop:
            self._store_prompts(key_states, value_states)
            return key_states, value_states
        rows, length, column = self.cache.row_count, self.cache.length, self.cache.column
        if column is not None:
            keys, values = (buffer[:rows] for buffer in self.buffers)
            keys.index_copy_(2, column, key_states)
            values.index_copy_(2, column, value_states)
            return keys, values
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:rows, :, length - 1 : length] = new
        keys, values = (buffer[:rows, :, :length] for buffer in self.buffers)
        return keys, values

    def _store_prompts(self, *states: torch.Tensor) -> None:
        """Copies packed keys and values (1, H, P + T, E) into the slots of their rows."""
        cache, prefix = self.cache, self.cache.prefix_length
        if not self.buffers:
            # In memory, the heads of a column are neighbours: a row is then read faster.
            shapes = [(cache.row_count, cache.capacity, s.shape[1], s.shape[3]) for s in states]
            empty = [new.new_empty(s) for new, s in zip(states, shapes, strict=True)]
            self.buffers = [buffer.transpose(1, 2) for buffer in empty]
            for buffer in self.buffers:  # NaN in padding would spoil attention even where hidden
                buffer[:, :, prefix : cache.length] = 0
        columns = max(len(ids) for ids in cache.prompts[cache.group]) - prefix  # R
        for buffer, new in zip(self.buffers, states, strict=True):
            slots = buffer[cache.group]  # (N, H, C, E), a view
            slots[:, :, :prefix] = new[:, :, :prefix]
            suffixes = cache.layout.unpack(new[0, :, prefix:].transpose(0, 1))[:, :columns]
            slots[:, :, cache.length - columns : cache.length] = suffixes.transpose(1, 2)
