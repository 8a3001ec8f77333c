"""Attention over packed sequences of any length, without padding or a mask, on a newer GPU.

This is torch's build of FlashAttention-2 (Dao 2023, arXiv:2307.08691), for bf16 and fp16 from
compute capability 8.0 on (A100, L4, RTX 30). The operators are those behind
torch.nn.attention.varlen; they are called directly because its backward pass adds in an order that
changes from run to run. Here the pass is deterministic, so a repeated run gives the same bytes.

A packed row, described in medtune.modeling.shared_prefix, is a list of sequences: the prefix, then
each suffix. The keys of a suffix are those of the prefix and its own:

    P  tokens of the prefix      K  keys of all sequences       E  size of a head
    T  tokens of all suffixes    H  heads (fewer for keys and values)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch

from medtune.modeling.loading import to_device

HALF = (torch.bfloat16, torch.float16)


def flash_dtype(model: Any) -> torch.dtype | None:
    """Returns the precision in which the model's packed rows can run here, or None."""
    if model.device.type != "cuda" or torch.cuda.get_device_capability(model.device) < (8, 0):
        return None
    config = model.config.get_text_config()
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if getattr(config, "v_head_dim", head) != head:  # multi-head latent attention (DeepSeek)
        return None
    dropout = model.training and getattr(config, "attention_dropout", 0)
    autocast = torch.is_autocast_enabled("cuda")
    dtype = torch.get_autocast_dtype("cuda") if autocast else model.dtype
    return dtype if dtype in HALF and head <= 256 and head % 8 == 0 and not dropout else None


@dataclass(frozen=True)
class Sequences:
    """The sequences of a packed row, the prefix first if there is one."""

    dtype: torch.dtype
    longest: int  # keys of a sequence, at most
    query_ends: torch.Tensor  # (sequences + 1,) int32, beginning with 0
    key_ends: torch.Tensor  # (sequences + 1,) int32, beginning with 0
    sources: torch.Tensor  # (K,) packed token of each key
    prefix_keys: torch.Tensor  # (sequences, P) indices of the prefix among the keys
    suffix_keys: torch.Tensor  # (T,) indices of the suffix tokens among the keys

    @classmethod
    def of(
        cls, prefix: int, lengths: torch.Tensor, dtype: torch.dtype, longest: int | None = None
    ) -> Self:
        """Describes suffixes of these lengths (N,) behind a prefix, on the CPU.

        `longest` may be given if it shall not depend on the lengths.
        """
        first = [0] if prefix else []
        suffixes = torch.cat([lengths.new_tensor(first), lengths])  # the prefix has no suffix
        keys = prefix + suffixes
        key_ends = torch.cat([keys.new_tensor([0]), keys.cumsum(0)])
        queries = torch.cat([lengths.new_tensor([0] + [prefix] * len(first)), lengths])
        prefix_keys = key_ends[:-1, None] + torch.arange(prefix)
        is_suffix = torch.ones(int(keys.sum()), dtype=torch.bool)
        is_suffix[prefix_keys.flatten()] = False
        sources = torch.empty(len(is_suffix), dtype=torch.long)
        sources[prefix_keys] = torch.arange(prefix)
        sources[is_suffix] = prefix + torch.arange(int(lengths.sum()))
        return cls(
            dtype=dtype,
            longest=longest or int(keys.max()),
            query_ends=queries.cumsum(0).int(),
            key_ends=key_ends.int(),
            sources=sources,
            prefix_keys=prefix_keys,
            suffix_keys=is_suffix.nonzero()[:, 0],
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if isinstance(value, torch.Tensor)}

    def to(self, device: torch.device) -> Self:
        return replace(self, **{n: to_device(t, device) for n, t in self.tensors().items()})

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
    ) -> torch.Tensor:
        """Maps queries, keys and values (1, H, P + T, E) to outputs (1, P + T, H, E)."""
        states = (state[0].transpose(0, 1).to(self.dtype) for state in (query, key, value))
        output: torch.Tensor = _Attention.apply(*states, self, scale)[None]
        return output


class _Attention(torch.autograd.Function):
    """Causal attention of each sequence; the last query of a sequence attends to all its keys."""

    @staticmethod
    def forward(
        context: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        sequences: Sequences,
        scale: float | None,
    ) -> torch.Tensor:
        keys, values = key, value
        if sequences.prefix_keys.shape[1]:
            keys, values = (t.index_select(0, sequences.sources) for t in (key, value))  # (K, H, E)
        ends = (sequences.query_ends, sequences.key_ends, sequences.longest, sequences.longest)
        output, log_sums, seed, offset, _ = torch.ops.aten._flash_attention_forward(
            query, keys, values, *ends, 0.0, True, False, scale=scale
        )
        context.save_for_backward(query, keys, values, output, log_sums, seed, offset)
        context.sequences, context.scale, context.ends = sequences, scale, ends
        return output

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, keys, values, output, log_sums, seed, offset = context.saved_tensors
        with _deterministic():
            of_query, of_keys, of_values = torch.ops.aten._flash_attention_backward(
                gradient.contiguous(),
                query,
                keys,
                values,
                output,
                log_sums,
                *context.ends,
                0.0,
                True,
                seed,
                offset,
                scale=context.scale,
            )
        of_tokens = (_summed(of, context.sequences) for of in (of_keys, of_values))
        return (of_query, *of_tokens, None, None)


def _summed(of_keys: torch.Tensor, sequences: Sequences) -> torch.Tensor:
    """Maps gradients of keys (K, H, E) to those of the packed tokens (P + T, H, E)."""
    if not sequences.prefix_keys.shape[1]:
        return of_keys
    of_prefix = of_keys[sequences.prefix_keys].float().sum(dim=0)  # (P, H, E)
    of_suffixes = of_keys.index_select(0, sequences.suffix_keys)
    return torch.cat([of_prefix.to(of_keys.dtype), of_suffixes])


@contextmanager
def _deterministic() -> Iterator[None]:
    """Tells FlashAttention to add in a fixed order; torch has no argument for it."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
