"""Answers to questions, many at a time: for the evaluate stages and for whoever asks the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from medtune.batches import by_length
from medtune.params import Evaluate
from medtune.progress import progress
from medtune.prompts import PromptEncoder

RETIRE_SHARE = 0.8  # rows are taken out of the batch when fewer than this share still runs


@dataclass(frozen=True)
class Answer:
    """`stopped` says that the model ended the answer itself, before `max_new_tokens`."""

    text: str
    tokens: int
    stopped: bool


def answer_all(
    model: Any, encoder: PromptEncoder, prompts: Sequence[list[int]], params: Evaluate, seed: int
) -> list[Answer]:
    """The answers to prompts (token ids), in their order; prompts of similar length go together."""
    answers: dict[int, Answer] = {}
    ends = end_ids(model, encoder)
    batches = by_length([len(ids) for ids in prompts], params.batch_size)
    bar = progress(total=len(batches) * params.max_new_tokens, unit="step")
    for done, numbers in enumerate(batches, start=1):
        # A seed per batch: what is sampled does not depend on the batches before it.
        torch.manual_seed(seed + numbers[0])
        rows = generate(model, [prompts[n] for n in numbers], params, ends, bar.update)
        bar.update(done * params.max_new_tokens - bar.n)
        for number, ids in zip(numbers, rows, strict=True):
            answers[number] = Answer(encoder.decode(ids), len(ids), ids[-1] in ends)
    bar.close()
    return [answers[number] for number in range(len(prompts))]


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
    on_token: Callable[[], object] = lambda: None,
) -> list[list[int]]:
    """The new ids of each prompt, its end token included where it came.

    One forward pass over the left-padded prompts (batch, seq), then one token for each row that
    still runs. Finished rows leave the batch, and the cache with it. `on_token` is called after
    each pass.
    """
    from transformers import DynamicCache

    device = model.device
    width = max(len(ids) for ids in prompts)
    input_ids = torch.zeros((len(prompts), width), dtype=torch.long, device=device)
    mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(prompts):
        # Masked padding repeats the row's first id, so that a repetition penalty sees no other.
        input_ids[row] = torch.tensor([ids[0]] * (width - len(ids)) + ids, device=device)
        mask[row, width - len(ids) :] = 1
    choose = _chooser(params)
    cache = DynamicCache(config=model.config)
    new: list[list[int]] = [[] for _ in prompts]
    running = list(range(len(prompts)))  # the prompt that each row of the batch belongs to
    step_ids, seen = input_ids, input_ids
    for _ in range(params.max_new_tokens):
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -step_ids.shape[1] :]
        output = model(
            input_ids=step_ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        step_ids = choose(seen, output.logits[:, -1].float())[:, None]
        for row, token in zip(running, step_ids[:, 0].tolist(), strict=True):
            if not (new[row] and new[row][-1] in ends):
                new[row].append(token)
        on_token()
        alive = [n for n, row in enumerate(running) if new[row][-1] not in ends]
        if not alive:
            break
        mask = torch.cat([mask, mask.new_ones((len(running), 1))], dim=1)
        seen = torch.cat([seen, step_ids], dim=1)
        if len(alive) < RETIRE_SHARE * len(running):
            keep = torch.tensor(alive, device=device)
            cache.batch_select_indices(keep)
            mask, seen, step_ids = mask[keep], seen[keep], step_ids[keep]
            running = [running[n] for n in alive]
    return new


def _chooser(params: Evaluate) -> Any:
    """Maps ids so far (batch, seq) and logits (batch, vocabulary) to the next ids (batch,)."""
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopPLogitsWarper,
    )

    processors: Any = LogitsProcessorList()
    if params.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(params.repetition_penalty))
    if params.temperature == 0:
        return lambda ids, logits: processors(ids, logits).argmax(dim=-1)
    processors.append(TemperatureLogitsWarper(params.temperature))
    if params.top_p < 1:
        processors.append(TopPLogitsWarper(params.top_p))

    def sample(ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        probabilities = torch.softmax(processors(ids, logits), dim=-1)
        return torch.multinomial(probabilities, 1)[:, 0]

    return sample
