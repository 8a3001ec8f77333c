"""Chooses the cache with which a model answers: the fastest that gives the model's own logits."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch

from medtune.generation.kv_cache import GenerationCache, SharedPrefixCache
from medtune.generation.padded_cache import PaddedCache
from medtune.modeling.forward import ModelInputs, padded_logits, unwrapped
from medtune.modeling.logit_checks import Probe, at_rest, enable_prefix_sharing

logger = logging.getLogger("medtune")

STEPS = 2  # tokens of each row of the probe that are appended one at a time
ROWS_AT_ONCE = 16  # of whole rows; a state-space model keeps its state after each of their tokens

# By model, and by whether it shares prefixes.
_chosen: WeakKeyDictionary[Any, dict[bool, type]] = WeakKeyDictionary()


class NoCache:
    """Keeps the rows instead of their keys and values, and runs them whole at each step.

    It serves any causal model, also one with an unusual state, such as RWKV's.
    Padding is on the right, where it comes after all tokens of its row.
    """

    def __init__(self, model: Any, prompts: Sequence[list[int]], max_new_tokens: int) -> None:
        self.model, self.rows = model, [list(ids) for ids in prompts]

    def prefill_inputs(self) -> Iterator[ModelInputs]:
        yield self._inputs()

    def next_inputs(self, tokens: torch.Tensor) -> ModelInputs:
        self.rows = [[*ids, token] for ids, token in zip(self.rows, tokens.tolist(), strict=True)]
        return self._inputs()

    def _inputs(self) -> ModelInputs:
        lengths = torch.tensor([len(ids) for ids in self.rows])  # (N,)
        ids = torch.zeros((len(self.rows), int(lengths.max())), dtype=torch.long)
        for row, own in zip(ids, self.rows, strict=True):
            row[: len(own)] = torch.tensor(own)
        return {"ids": ids, "lengths": lengths}

    def next_logits(self, inputs: ModelInputs) -> torch.Tensor:
        logits = []
        parts = zip(*(tensor.split(ROWS_AT_ONCE) for tensor in inputs.values()), strict=True)
        for ids, lengths in parts:
            is_token = torch.arange(ids.shape[1]) < lengths[:, None]
            indices = torch.arange(len(ids)) * ids.shape[1] + lengths - 1
            logits.append(padded_logits(self.model, ids, is_token, indices.to(self.model.device)))
        return torch.cat(logits)

    def keep(self, rows: Sequence[int]) -> list[int]:
        self.rows = [self.rows[row] for row in rows]
        return list(rows)


def make_cache(
    model: Any,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    references: Sequence[list[int]] = (),
) -> GenerationCache:
    """Returns a cache for prompts (token ids) and up to `max_new_tokens` more tokens for each.

    `references` (token ids) are texts whose loss behind each prompt is wanted as well.
    """
    own = unwrapped(model)
    shares = enable_prefix_sharing(own)  # until the model takes continuous batches
    chosen = _chosen.setdefault(own, {})
    if shares not in chosen:
        kinds = [SharedPrefixCache, PaddedCache] if shares else [PaddedCache]
        with at_rest(own):
            chosen[shares] = _choose(own, kinds)
    kind = chosen[shares]
    if kind is SharedPrefixCache:
        return SharedPrefixCache(model, prompts, max_new_tokens, references)
    cache: GenerationCache = kind(model, prompts, max_new_tokens)
    return cache


def _choose(model: Any, kinds: Sequence[type]) -> type:
    """Returns the first kind that gives the right logits, or NoCache."""
    probe = Probe.of(model)
    for kind in kinds:
        objection = probe.objection(partial(_steps, kind, model, probe))
        if objection is None:
            return kind
        logger.info(f"answers come without a {kind.__name__}, which is slower ({objection})")
    return NoCache


def _steps(kind: type, model: Any, probe: Probe) -> tuple[torch.Tensor, torch.Tensor]:
    """Feeds the last tokens of the probe's rows; the first row ends early."""
    cache: GenerationCache = kind(model, [ids[:-STEPS] for ids in probe.rows], STEPS)
    running = list(range(len(probe.rows)))
    found, expected = [], []
    passes = list(cache.prefill_inputs())
    for column in range(-STEPS, 0):
        found += [cache.next_logits(inputs) for inputs in passes]
        expected += [probe.logits[row][column - 1] for row in running]
        if column == 1 - STEPS:
            order = cache.keep([1, 2])
            running = [running[row] for row in order]
        tokens = torch.tensor([probe.rows[row][column] for row in running], device=model.device)
        passes = [cache.next_inputs(tokens)]
    found += [cache.next_logits(inputs) for inputs in passes]
    return torch.cat(found), torch.stack(expected + [probe.logits[row][-1] for row in running])
