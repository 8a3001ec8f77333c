"""Runs a batch as one packed row: without padding, and with the shared prefix only once.

All cards begin with the same chat template and system prompt. Take three rows that share the
prefix `p p` and go on with the suffixes `a a`, `b b b` and `c`. Instead of a padded batch
(3 rows, 5 columns), the decoder gets one row of 2 + 6 tokens. Each token keeps the position that it
has in its own row:

    tokens       p p  a a  b b b  c
    positions    0 1  2 3  2 3 4  2

Embeddings, norms and MLPs work on each token on its own and need no change. Attention mixes
tokens, so it needs this block mask (rows are queries, columns are keys):

                 p p  a a  b b b  c
            p    1 .  . .  . . .  .
            p    1 1  . .  . . .  .
            a    1 1  1 .  . . .  .
            a    1 1  1 1  . . .  .
            b    1 1  . .  1 . .  .
            b    1 1  . .  1 1 .  .
            b    1 1  . .  1 1 1  .
            c    1 1  . .  . . .  1

Most of this square is empty, so it is never built. `_attend` runs torch's attention twice: once on
the prefix alone, and once on the suffixes, unpacked into one padded row each, whose keys are the
prefix and the suffix itself. The mask that goes through the decoder is the one of this second call.
In half precision on a newer GPU, medtune.modeling.flash needs neither unpacking nor a mask.

What a pass needs to know of its batch is calculated once, on the CPU. In a layer, nothing asks the
GPU for a number: it would have to finish all its work before the next layer could begin.

Comments give shapes in these letters:

    N  rows of the batch                     T  suffix tokens of all rows, without padding
    S  columns of the padded batch           D  hidden size
    P  tokens of the shared prefix           H  attention heads (fewer for keys and values)
    R  columns of the suffixes, S - P        E  size of a head

A row may also hold several continuations of one context, as a multiple-choice question has several
options. Each continuation attends to the context and to itself, at the positions that it would have
directly behind the context.

The result is exact: losses and gradients equal those of the padded batch up to rounding. A model
that cannot take packed rows runs padded as usual, which medtune.modeling.logit_checks finds out.
With noise (dropout, NEFTune) the batch is packed, but the prefix is repeated: each row has its own.

Packing without attention between rows: Krell et al. 2021 (arXiv:2107.02027). The prefix computed
once in training: Prefix Grouper, Liu et al. 2025 (arXiv:2506.05433). Continuations under a mask of
their own: tree attention of SpecInfer, Miao et al. 2023 (arXiv:2305.09781).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from medtune.modeling.collation import IGNORED
from medtune.modeling.flash import Sequences, flash_dtype
from medtune.modeling.forward import ModelInputs, logits_at, padded_logits
from medtune.modeling.loading import to_device
from medtune.modeling.neftune import is_noisy

ATTENTION = "sdpa_shared_prefix"  # the name under which transformers finds `_attend`
PADDING, CONTEXT = -1, 0  # segments of a row; continuations are the segments 1, 2, …


def shares_prefixes(model: Any) -> bool:
    return model.config.get_text_config()._attn_implementation == ATTENTION


@dataclass(frozen=True)
class SuffixLayout:
    """Where the suffix tokens of a packed row belong in the padded suffixes (N, R)."""

    prefix: int  # P
    shape: tuple[int, int]  # N, R
    columns: torch.Tensor  # (T,) int64 column of each token, counted through all rows

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"columns": self.columns}

    def to(self, device: torch.device) -> "SuffixLayout":
        return replace(self, columns=to_device(self.columns, device))

    def unpack(self, tokens: torch.Tensor) -> torch.Tensor:
        """Turns packed suffix tokens (T, …) into rows (N, R, …) with zeros for padding."""
        rows = tokens.new_zeros((self.shape[0] * self.shape[1], *tokens.shape[1:]))
        return rows.index_copy(0, self.columns, tokens).unflatten(0, self.shape)

    def pack(self, rows: torch.Tensor) -> torch.Tensor:
        """Turns rows (N, R, …) into packed suffix tokens (T, …)."""
        return rows.flatten(0, 1).index_select(0, self.columns)


@dataclass(frozen=True)
class PackedRow:
    """A batch as one row for the decoder."""

    input_ids: torch.Tensor  # (1, P + T)
    position_ids: torch.Tensor  # (1, P + T)
    attention_mask: torch.Tensor  # (N, 1, R, P + R) bool
    layout: SuffixLayout | Sequences

    def to(self, device: torch.device) -> "PackedRow":
        ids, positions, mask = self.input_ids, self.position_ids, self.attention_mask
        ids, positions, mask = (to_device(tensor, device) for tensor in (ids, positions, mask))
        return PackedRow(ids, positions, mask, self.layout.to(device))

    @property
    def inputs(self) -> ModelInputs:
        """The arguments of a model; transformers hands a 4-D mask on unchanged."""
        return vars(self) | {"use_cache": False}

    def logits(self, model: Any, indices: torch.Tensor) -> torch.Tensor:
        """Returns the logits (K, vocabulary) after the packed tokens of these numbers."""
        return logits_at(model, indices, **self.inputs)


def pack(model: Any, batch: dict[str, torch.Tensor]) -> tuple[PackedRow, torch.Tensor]:
    """Packs a right-padded batch; the second result says which column each packed token came from.

    `batch` holds `input_ids`, `attention_mask` and `labels`, each (N, S) int64, on the CPU if
    nothing shall wait. The columns (P + T,) count through all rows; the prefix is the first row's.
    """
    ids, is_token = batch["input_ids"], batch["attention_mask"].bool()  # (N, S)
    prefix = 0 if draws_noise(model) else _prefix_length(ids, batch["labels"])
    columns = torch.arange(ids.numel(), device=ids.device).view_as(ids)  # (N, S)
    columns = torch.cat([columns[0, :prefix], columns[:, prefix:][is_token[:, prefix:]]])
    if dtype := flash_dtype(model):
        lengths = is_token.sum(dim=1) - prefix
        return flash_row(model, ids.flatten()[columns], prefix, lengths, dtype), columns
    segments = torch.where(is_token, CONTEXT, PADDING)  # (N, S)
    return masked_row(model, ids, segments, prefix), columns


def flash_row(
    model: Any,
    ids: torch.Tensor,
    prefix: int,
    lengths: torch.Tensor,
    dtype: torch.dtype,
    longest: int | None = None,
) -> PackedRow:
    """Returns the row of packed ids (P + T,) for flash attention; `lengths` (N,) of suffixes."""
    starts = lengths.cumsum(0) - lengths  # (N,)
    steps = torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)  # (T,)
    positions = torch.cat([torch.arange(prefix), prefix + steps])
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)  # is not read
    sequences = Sequences.of(prefix, lengths, dtype, longest)
    return PackedRow(ids[None], positions[None], mask, sequences).to(model.device)


def continuation_logits(
    model: Any, contexts: Sequence[list[int]], continuations: Sequence[Sequence[list[int]]]
) -> torch.Tensor:
    """Returns the logits (tokens, vocabulary) after each token of all continuations, in order.

    A token of `continuations[n][m]` attends to `contexts[n]`, which must not be empty, and to the
    tokens before it in its continuation.
    """
    if not shares_prefixes(model):  # one row for each continuation
        pairs = list(zip(contexts, continuations, strict=True))
        contexts = [context for context, group in pairs for _ in group]
        continuations = [[continuation] for _, group in pairs for continuation in group]
    rows, row_segments = [], []
    for context, group in zip(contexts, continuations, strict=True):
        rows.append(torch.tensor([*context, *chain(*group)]))
        lengths = torch.tensor([len(context), *map(len, group)])
        row_segments.append(torch.arange(len(lengths)).repeat_interleave(lengths))
    ids = pad_sequence(rows, batch_first=True)  # (N, S)
    segments = pad_sequence(row_segments, batch_first=True, padding_value=PADDING)  # (N, S)
    if not shares_prefixes(model):
        wanted = (segments > CONTEXT).flatten().nonzero()[:, 0].to(model.device)
        return padded_logits(model, ids, segments != PADDING, wanted)
    in_prefix = ((ids == ids[0]) & (segments == CONTEXT)).all(dim=0)  # (S,)
    prefix = int(in_prefix.cumprod(dim=0).sum())
    suffix_segments = segments[:, prefix:]  # (N, R)
    packed_segments = suffix_segments[suffix_segments != PADDING]  # (T,)
    wanted = prefix + (packed_segments > CONTEXT).nonzero()[:, 0].to(model.device)
    return masked_row(model, ids, segments, prefix).logits(model, wanted)


def masked_row(model: Any, ids: torch.Tensor, segments: torch.Tensor, prefix: int) -> PackedRow:
    """Packs all tokens after the first `prefix` of each row, behind those of the first row.

    `ids` and `segments` are (N, S) int64. A token attends to the CONTEXT of its row and to its own
    segment, in both cases up to itself. Padding may lie anywhere.
    """
    columns = torch.arange(ids.shape[1], device=ids.device)  # (S,)
    suffix_segments = segments[:, prefix:]  # (N, R)
    is_token = suffix_segments != PADDING  # (N, R)
    # (N, R, S): dimension 1 is the query, a column of the suffix, and dimension 2 is the key.
    in_reach = (segments[:, None] == CONTEXT) | (segments[:, None] == suffix_segments[:, :, None])
    causal = columns <= columns[prefix:, None]  # (R, S)
    mask = in_reach & causal & is_token[:, :, None]
    # (T,): a token at position n attends to n tokens before it and to itself.
    positions = mask.sum(dim=2)[is_token] - 1
    # Padding attends to one key, because a softmax over no key is NaN.
    mask |= (columns == 0) & ~is_token[:, :, None]
    packed_ids = torch.cat([ids[0, :prefix], ids[:, prefix:][is_token]])
    packed_positions = torch.cat([columns[:prefix], positions])
    slots = is_token.flatten().nonzero()[:, 0]
    layout = SuffixLayout(prefix, (is_token.shape[0], is_token.shape[1]), slots)
    return PackedRow(packed_ids[None], packed_positions[None], mask[:, None], layout).to(
        model.device
    )


def draws_noise(model: Any) -> bool:
    """Whether noise is active: a shared prefix would then get one draw for all rows."""
    if not model.training:
        return False
    if is_noisy(model.get_input_embeddings()):
        return True
    dropouts = (module.p for module in model.modules() if isinstance(module, torch.nn.Dropout))
    return bool(getattr(model.config.get_text_config(), "attention_dropout", 0) or any(dropouts))


def _prefix_length(ids: torch.Tensor, labels: torch.Tensor) -> int:
    """Counts the leading columns of `ids` (N, S) that are equal and predict no supervised token.

    Column n predicts `labels[:, n + 1]`, so the last column is never part of the prefix.
    """
    predicts = (labels[:, 1:] != IGNORED).any(dim=0)  # (S - 1,)
    is_shared = (ids == ids[0]).all(dim=0)[:-1]  # (S - 1,)
    return int((is_shared & ~predicts).cumprod(dim=0).sum())


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    layout: SuffixLayout | Sequences | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention over a packed row with torch; returns (1, P + T, H, E).

    `query`, `key` and `value` are (1, H, P + T, E), `attention_mask` is (N, 1, R, P + R) bool.
    They come from this module and from medtune.generation.kv_cache. Without a layout the batch is
    not packed, and goes to torch as it is.
    """
    if layout is None and query.shape[2] == 1 and not module.training:
        return attend_from_one_token(query, key, value, attention_mask, options.get("scaling"))
    if layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if isinstance(layout, Sequences):
        return layout.attend(query, key, value, options.get("scaling")), None
    prefix = layout.prefix
    parts = [s.split([prefix, s.shape[2] - prefix], dim=2) for s in (query, key, value)]
    (prefix_query, query), (prefix_key, key), (prefix_value, value) = parts

    def unpacked(states: torch.Tensor) -> torch.Tensor:
        return layout.unpack(states[0].transpose(0, 1)).transpose(1, 2)  # (N, H, R, E)

    def rows_of(prefix_states: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        prefixes = prefix_states.expand(layout.shape[0], -1, -1, -1)  # (N, H, P, E)
        return torch.cat([prefixes, unpacked(states)], dim=2)  # (N, H, P + R, E)

    rows = unpacked(query), rows_of(prefix_key, key), rows_of(prefix_value, value)
    output, _ = sdpa_attention_forward(module, *rows, attention_mask, **options)  # (N, R, H, E)
    output = layout.pack(output)[None]  # (1, T, H, E)
    if prefix:
        prefix_output, _ = sdpa_attention_forward(
            module, prefix_query, prefix_key, prefix_value, None, **options
        )  # (1, P, H, E); without a mask attention is causal
        output = torch.cat([prefix_output, output], dim=1)
    return output, None


def attend_from_one_token(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scale: float | None,
) -> tuple[torch.Tensor, None]:
    """Computes a step of decoding; returns (N, 1, H, E).

    `query` is (N, H, 1, E), `key` and `value` are (N, heads of keys, columns, E). Heads that share
    keys count as several queries of one head. transformers copies the keys for each of them, which
    takes most of the time of a step with many rows.
    """
    rows, heads, _, size = query.shape
    grouped = query.reshape(rows, key.shape[1], -1, size)  # (N, heads of keys, queries of each, E)
    output = scaled_dot_product_attention(grouped, key, value, attention_mask, scale=scale)
    return output.reshape(rows, 1, heads, value.shape[3]), None


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)  # for batches that are not packed
