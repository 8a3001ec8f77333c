"""Generates the tokens of many answers at a time.

Greedy answers equal those of transformers' `generate`, up to rounding. What differs is the speed: a
row leaves the batch as soon as it ends, the cache grows in place, a prefix that all prompts share
runs once, and the loss of a reference is taken in the pass that reads its prompt. Sampled answers
depend on the question's own seed, not on the rest of its batch. Beam search and other ways of
decoding are not supported.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from medtune.config.schema import Evaluate
from medtune.generation.cache_choice import make_cache
from medtune.generation.cuda_graphs import DecodingSteps, decoded_answers
from medtune.generation.kv_cache import GenerationCache, SharedPrefixCache
from medtune.generation.sampling import Sampler
from medtune.modeling.forward import ModelInputs
from medtune.modeling.onednn import packed_weights
from medtune.modeling.prompts import PromptEncoder


def end_ids(model: Any, encoder: PromptEncoder) -> set[int]:
    """Returns the tokens that end an answer: the template's end of turn and the model's own."""
    eos = model.generation_config.eos_token_id  # an id, a list of ids, or None
    return {encoder.end_id, *(eos if isinstance(eos, list) else [eos])} - {None}


def generate(
    model: Any,
    prompts: Sequence[list[int]],
    params: Evaluate,
    ends: set[int],
    seeds: Sequence[Any] = (),
    on_token: Callable[[], object] = lambda: None,
) -> list[list[int]]:
    """Returns each prompt's new ids, up to and including the first id in `ends`, if there is one.

    With a temperature, `seeds` holds one seed for each prompt, of any kind that numpy's default_rng
    takes; what is sampled depends on it and not on the other rows. `on_token` is called after each
    step.
    """
    cache = make_cache(model, prompts, params.max_new_tokens)
    return decode(model, cache, prompts, params, ends, seeds, on_token)


@torch.inference_mode()
def decode(
    model: Any,
    cache: GenerationCache,
    prompts: Sequence[list[int]],
    params: Evaluate,
    ends: set[int],
    seeds: Sequence[Any],
    on_token: Callable[[], object],
) -> list[list[int]]:
    """Does what `generate` does, with a new cache of the prompts.

    The prompts run once (prefill), then each row that has not ended runs one token a step.
    """
    sampler = Sampler(prompts, params, seeds, model.device)
    new: list[list[int]] = [[] for _ in prompts]
    running = list(range(len(prompts)))  # running[row] is the number of the row's prompt
    passes: Iterable[ModelInputs] = cache.prefill_inputs()
    with packed_weights(model, len(prompts)):
        while True:
            found = [cache.next_logits(inputs) for inputs in passes]
            logits = found[0] if len(found) == 1 else torch.cat(found)
            del found
            tokens = sampler(logits)  # (rows,)
            if tokens.is_cuda and isinstance(cache, SharedPrefixCache):
                steps = DecodingSteps(model, cache, tokens, ends, sampler)
                return decoded_answers(steps, params.max_new_tokens, on_token)
            for prompt, token in zip(running, tokens.tolist(), strict=True):
                new[prompt].append(token)
            on_token()
            alive = [row for row, prompt in enumerate(running) if new[prompt][-1] not in ends]
            if not alive or len(new[running[0]]) == params.max_new_tokens:
                return new
            if len(alive) < len(running):
                order = cache.keep(alive)
                sampler.keep(order)
                tokens, running = tokens[order], [running[row] for row in order]
            passes = [cache.next_inputs(tokens)]
