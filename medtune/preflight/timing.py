"""Estimates how long train and evaluate take: times a few real steps and scales them up."""

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from medtune.config.schema import Evaluate, Train
from medtune.modeling.collation import Cards, by_length, padded
from medtune.modeling.token_files import row_lengths
from medtune.training.passes import training_order

STEPS = 2  # that are timed, after one to warm up
TIMED_ROWS = 32  # that are answered together; in larger batches a row costs the same
NEW_TOKENS = 4
CHOICE_TOKENS = 100  # of a multiple-choice question with its options; the mean of MMLU is 87
Rows = Mapping[str, Sequence[Any]]  # columns of a token file


def train_seconds(params: Train, seed: int, training: Rows, validation: Rows) -> float:
    """Returns the seconds that all optimiser steps and validations take on this machine."""
    import torch

    from medtune.modeling.adapters import add_adapter
    from medtune.modeling.loading import autocast, device, load_base
    from medtune.modeling.losses import SupervisedLoss

    double = params.bnb_4bit_use_double_quant
    model = load_base(params.precision, params.quantization, double_quantization=double)
    model = add_adapter(model, params.model_copy(update={"init_lora_weights": True}), seed)
    loss = SupervisedLoss(model).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    lengths = row_lengths(training["input_ids"])
    batches = training_order(len(lengths), params.per_device_train_batch_size, seed, 0)
    typical = sorted(batches, key=lambda batch: sum(lengths[n] for n in batch))
    middle = max(0, len(typical) // 2 - STEPS // 2)
    tokens, seconds = [], []
    for batch in typical[middle:][: STEPS + 1]:
        start = time.perf_counter()
        cards = Cards.all(training).chosen(batch)
        columns = padded(cards.input_ids, cards.loss_start, 0, cards.masked_spans)
        tensors = {name: t.to(device()) for name, t in columns.items()}
        with autocast(params.precision):
            losses = loss(tensors)
        losses.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
        tokens.append(sum(map(len, cards.input_ids)))
    timed = slice(1 if len(seconds) > 1 else 0, None)
    a_token = sum(seconds[timed]) / sum(tokens[timed])
    steps = len(batches) / params.gradient_accumulation_steps * params.num_train_epochs
    every = params.eval_steps if params.eval_steps >= 1 else params.eval_steps * steps
    validations = max(1, steps / max(1, every))
    validated = validations * sum(row_lengths(validation["input_ids"])) / 3  # no backward pass
    return a_token * (sum(lengths) * params.num_train_epochs + validated)


def evaluate_seconds(params: Evaluate, asked: Rows) -> float:
    """Returns the seconds of one evaluate stage, whose questions are `asked`.

    No cards are shown before them. Answers are assumed to be as long as the cards', except one of
    each batch that runs to max_new_tokens. Rows that have ended cost nothing.
    """
    from medtune.modeling.agreement import enable_prefix_sharing
    from medtune.modeling.loading import load_base
    from medtune.modeling.losses import LOSS_BATCH, summed_losses

    model = load_base()
    enable_prefix_sharing(model)  # runs a few rows, once
    lengths = row_lengths(asked["input_ids"])
    batches = by_length(lengths, LOSS_BATCH)
    rows, starts = (
        [asked[name][n] for n in batches[len(batches) // 2]]
        for name in ("input_ids", "prompt_length")
    )
    start = time.perf_counter()
    summed_losses(model, rows, starts)
    a_token = (time.perf_counter() - start) / sum(map(len, rows))
    scored, count = sum(lengths), len(lengths)
    choices = 300 if params.choice_questions is None else 2 * params.choice_questions
    cut = zip(asked["input_ids"], asked["prompt_length"], strict=True)
    first_rows = islice(cut, min(params.batch_size, TIMED_ROWS))
    prompts = [ids[:length] for ids, length in first_rows]
    first, a_step = generation_seconds(model, prompts)
    _, a_row_alone = generation_seconds(model, prompts[:1])
    answer = min(params.max_new_tokens, (scored - sum(asked["prompt_length"])) / count)
    answering = (first + a_step * answer) * count / len(prompts)
    last_rows = a_row_alone * (params.max_new_tokens - answer) * count / params.batch_size
    return a_token * (scored + choices * CHOICE_TOKENS) + answering + max(a_row_alone, last_rows)


def generation_seconds(model: Any, prompts: list[list[int]]) -> tuple[float, float]:
    """Returns the seconds of the pass over the prompts, and of one more token for every row."""
    import torch
    from transformers import DynamicCache

    from medtune.modeling.onednn import packed_weights

    cache = DynamicCache(config=model.config)
    ids = padded(prompts, [0] * len(prompts), 0)["input_ids"].to(model.device)
    marks = [time.perf_counter()]
    with torch.inference_mode(), packed_weights(model, len(prompts)):
        for _ in range(NEW_TOKENS + 1):
            logits = model(input_ids=ids, past_key_values=cache, logits_to_keep=1).logits
            ids = logits[:, -1:].argmax(dim=-1)
            marks.append(time.perf_counter())
    return marks[1] - marks[0], (marks[-1] - marks[1]) / NEW_TOKENS
