"""Answers to questions, many at a time: for the evaluate stages and for whoever asks the model."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import torch

from medtune.config.schema import Evaluate
from medtune.generation.kv_cache import PaddedCache, Pass, RowCache
from medtune.modeling.collation import by_length
from medtune.modeling.distributed import process_count, spread
from medtune.modeling.losses import head_logits
from medtune.modeling.onednn import packed_weights
from medtune.modeling.prompts import PromptEncoder
from medtune.modeling.shared_prefix import allow_one_row
from medtune.runtime.progress import progress


@dataclass(frozen=True)
class Answer:
    """`stopped` says that the model ended the answer itself, before `max_new_tokens`."""

    text: str
    tokens: int
    stopped: bool


def answer_all(
    model: Any, encoder: PromptEncoder, prompts: Sequence[list[int]], params: Evaluate, seed: int
) -> list[Answer]:
    """The answers to prompts (token ids), in their order.

    Prompts of similar length go together; batches are spread over the processes there are.
    """
    ends = end_ids(model, encoder)
    size = min(params.batch_size, math.ceil(len(prompts) / process_count()))
    batches = by_length([len(ids) for ids in prompts], size)

    def answer(batches: Sequence[list[int]]) -> list[list[Answer]]:
        answered = []
        with progress(total=len(batches) * params.max_new_tokens, unit="step") as bar:
            for numbers in batches:
                asked, seeds = [prompts[n] for n in numbers], [(seed, n) for n in numbers]
                rows = generate(model, asked, params, ends, seeds, bar.update)
                answered.append(
                    [Answer(encoder.decode(ids), len(ids), ids[-1] in ends) for ids in rows]
                )
                bar.update(len(answered) * params.max_new_tokens - bar.n)
        return answered

    answers = zip(chain(*batches), chain(*spread(answer, batches)), strict=True)
    return [answer for _, answer in sorted(answers, key=itemgetter(0))]


def end_ids(model: Any, encoder: PromptEncoder) -> set[int]:
    """The tokens that end an answer: the template's end of turn and the model's own."""
    own = model.generation_config.eos_token_id
    return {encoder.end_id, *(own if isinstance(own, list) else [own])} - {None}


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[list[int]],
    params: Evaluate,
    ends: set[int],
    seeds: Sequence[Any] = (),
    on_token: Callable[[], object] = lambda: None,
) -> list[list[int]]:
    """The new ids of each prompt, its end token included where it came.

    One pass over all prompts, then one token a step for each row that still runs. With a
    temperature, `seeds` holds one for each prompt, as numpy's default_rng takes them; what is
    sampled depends on it and not on the other rows. `on_token` is called after each pass.
    """
    kind = RowCache if allow_one_row(model) else PaddedCache
    cache, choose = kind(model, prompts, params.max_new_tokens), Chooser(prompts, params, seeds)
    new: list[list[int]] = [[] for _ in prompts]
    running = list(range(len(prompts)))  # the prompt that each row of the cache belongs to
    inputs: Iterable[Pass] = cache.first_passes()
    with packed_weights(model, len(prompts)):
        while True:
            hidden = [last_states(model, cache, arguments) for arguments in inputs]
            tokens = choose(head_logits(model, torch.cat(hidden)))
            for prompt, token in zip(running, tokens.tolist(), strict=True):
                new[prompt].append(token)
            on_token()
            alive = [row for row, prompt in enumerate(running) if new[prompt][-1] not in ends]
            if not alive or len(new[running[0]]) == params.max_new_tokens:
                return new
            if len(alive) < len(running):
                order = cache.keep(alive)
                choose.keep(order)
                tokens, running = tokens[order], [running[row] for row in order]
            inputs = [cache.next_pass(tokens)]


def last_states(model: Any, cache: Any, inputs: Pass) -> torch.Tensor:
    output = model.get_decoder()(**inputs, past_key_values=cache, use_cache=True)
    return cache.last(output.last_hidden_state)


class Chooser:
    """Chooses the next token of each row: the likeliest one, or by the row's own random numbers."""

    def __init__(
        self, prompts: Sequence[list[int]], params: Evaluate, seeds: Sequence[Any]
    ) -> None:
        from transformers import (
            LogitsProcessorList,
            RepetitionPenaltyLogitsProcessor,
            TemperatureLogitsWarper,
            TopPLogitsWarper,
        )

        self.processors: Any = LogitsProcessorList()
        if params.repetition_penalty != 1:
            self.processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
        self.draws = None
        if params.temperature > 0:
            self.draws = [np.random.default_rng(seed) for seed in seeds]
            self.processors.append(TemperatureLogitsWarper(params.temperature))
            if params.top_p < 1:
                self.processors.append(TopPLogitsWarper(params.top_p))
        width = max(len(ids) for ids in prompts)
        # Filled up with the row's first id, so that a repetition penalty sees no other.
        self.seen = torch.tensor([[ids[0]] * (width - len(ids)) + ids for ids in prompts])

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Maps logits (rows, vocabulary) to the next ids (rows,)."""
        logits = self.processors(self.seen.to(logits.device), logits)
        if self.draws is None:
            tokens = logits.argmax(dim=-1)
        else:
            reached = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
            drawn = torch.tensor([[draw.random()] for draw in self.draws], device=logits.device)
            tokens = torch.searchsorted(reached, drawn * reached[:, -1:], right=True)[:, 0]
        self.seen = torch.cat([self.seen, tokens[:, None].to(self.seen.device)], dim=1)
        return tokens

    def keep(self, rows: Sequence[int]) -> None:
        self.seen = self.seen[rows]
        if self.draws is not None:
            self.draws = [self.draws[row] for row in rows]
