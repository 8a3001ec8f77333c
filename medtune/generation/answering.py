"""Answers many questions, for the evaluate stage and `medtune ask`.

Questions of similar length are answered together, and the batches are divided between the
processes. The loss of a reference is taken in the pass that reads its prompt.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import torch

from medtune.config.schema import Evaluate
from medtune.generation.batch_limits import ROW_TOKENS
from medtune.generation.cache_choice import make_cache
from medtune.generation.generate import decode, end_ids
from medtune.generation.kv_cache import GenerationCache, SharedPrefixCache, row_bytes
from medtune.modeling.batch_limits import LOSS_BATCH
from medtune.modeling.collation import by_length
from medtune.modeling.distributed import divide_among_processes, process_count
from medtune.modeling.loading import check_length
from medtune.modeling.onednn import packed_weights
from medtune.modeling.prompts import PromptEncoder
from medtune.modeling.token_files import row_lengths
from medtune.modeling.token_losses import TOKENS_PER_ROW, batch_losses, summed
from medtune.runtime.progress import progress

logger = logging.getLogger("medtune")

SHORTER = "lower evaluate.max_new_tokens or evaluate.few_shot so that it gets down"


@dataclass(frozen=True, slots=True)
class Answer:
    """`stopped` says that the model ended the answer itself, before `max_new_tokens`."""

    text: str
    tokens: int
    stopped: bool
    # The reference's summed negative log-likelihood in nats, and its number of tokens.
    reference_loss: tuple[float, int] = (0.0, 0)


def longest_answer(model: Any, prompts: Sequence[list[int]], params: Evaluate) -> int:
    """Returns the most tokens that a prompt and its answer have; refuses what does not fit."""
    longest = max(row_lengths(prompts), default=0) + params.max_new_tokens
    check_length(model.config, longest, "the longest question with its answer", SHORTER)
    return longest


def answer_all(
    model: Any,
    encoder: PromptEncoder,
    prompts: Sequence[list[int]],
    params: Evaluate,
    seed: int,
    references: Sequence[list[int]] = (),
) -> list[Answer]:
    """Returns the answers to prompts (token ids), in their order.

    `references` (token ids) are right answers, whose losses are wanted too, or none. Prompts of
    similar length go together, and the batches are divided between the processes.
    """
    ends = end_ids(model, encoder)
    lengths, longest = row_lengths(prompts), longest_answer(model, prompts, params)
    batches = batches_of(lengths, params)
    if model.device.type == "cuda" and process_count() == 1:  # batches must be equal in all
        free_bytes, _ = torch.cuda.mem_get_info()
        row = row_bytes(model, longest)
        batches = _cut(batches, fitting_rows(params.batch_size, row, free_bytes))

    def answer_batches(batches: Sequence[list[int]]) -> list[list[Answer]]:
        answered = []
        with progress(total=len(batches) * params.max_new_tokens, unit="step") as bar:
            for numbers in batches:
                batch, seeds = [prompts[n] for n in numbers], [(seed, n) for n in numbers]
                wanted = [references[n] for n in numbers] if references else [[] for _ in numbers]
                cache = make_cache(model, batch, params.max_new_tokens, wanted)
                rows = decode(model, cache, batch, params, ends, seeds, bar.update)
                losses = reference_losses(model, cache, batch, wanted)
                answered.append(
                    [
                        Answer(encoder.decode(ids), len(ids), ids[-1] in ends, loss)
                        for ids, loss in zip(rows, losses, strict=True)
                    ]
                )
                # A batch may end early; the bar counts it as if it had not.
                bar.update(len(answered) * params.max_new_tokens - bar.n)
        return answered

    answers = zip(
        chain(*batches), chain(*divide_among_processes(answer_batches, batches)), strict=True
    )
    return [answer for _, answer in sorted(answers, key=itemgetter(0))]


def batches_of(lengths: Sequence[int], params: Evaluate) -> list[list[int]]:
    """Returns the numbers of prompts that run together, by their lengths in tokens.

    A batch has at most `batch_size` rows, and fewer where rows are longer than ROW_TOKENS: its
    cache then takes no more memory than `batch_size` rows of that length.
    """
    size = max(1, min(params.batch_size, math.ceil(len(lengths) / process_count())))
    batches = []
    for numbers in by_length(lengths, size):
        longest = lengths[numbers[-1]] + params.max_new_tokens
        rows = max(1, params.batch_size * ROW_TOKENS // longest)
        batches += _cut([numbers], rows)
    return batches


def fitting_rows(size: int, bytes_of_row: int, free_bytes: int) -> int:
    """Returns how many rows fit into four fifths of the free memory, but not more than `size`."""
    fitting = max(1, 4 * free_bytes // (5 * bytes_of_row))
    if fitting < size:
        logger.info(
            f"{size} answers at a time would take {size * bytes_of_row / 2**30:.1f} GiB, but "
            f"{free_bytes / 2**30:.1f} GiB are free: answering {fitting} at a time"
        )
    return min(size, fitting)


def _cut(batches: Sequence[list[int]], rows: int) -> list[list[int]]:
    return [batch[n : n + rows] for batch in batches for n in range(0, len(batch), rows)]


def reference_losses(
    model: Any,
    cache: GenerationCache,
    prompts: Sequence[list[int]],
    references: Sequence[list[int]],
) -> list[tuple[float, int]]:
    """Returns the `reference_loss` of each row, after its prompt has run."""
    if isinstance(cache, SharedPrefixCache):
        return list(map(summed, cache.reference_losses))
    scored = [n for n, reference in enumerate(references) if reference]
    scored.sort(key=lambda n: len(prompts[n]) + len(references[n]))
    found = [(0.0, 0)] * len(prompts)
    with torch.inference_mode(), packed_weights(model, LOSS_BATCH * TOKENS_PER_ROW):
        for start in range(0, len(scored), LOSS_BATCH):
            numbers = scored[start : start + LOSS_BATCH]
            rows = [[*prompts[n], *references[n]] for n in numbers]
            losses = batch_losses(model, rows, [len(prompts[n]) for n in numbers])
            for n, loss in zip(numbers, losses, strict=True):
                found[n] = loss
    return found
