"""Estimates how long train and evaluate take: times a few real steps and scales them up."""

import math
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from medtune.config.schema import Evaluate, Train
from medtune.modeling.collation import by_length
from medtune.modeling.token_files import row_lengths
from medtune.training.batch_plan import row_order

STEPS = 2  # that are timed, after one to warm up
TIMED_ROWS = 32  # that are answered together; in larger batches a row costs the same
NEW_TOKENS = 4
CHOICE_TOKENS = 100  # of a multiple-choice question with its options; the mean of MMLU is 87
Rows = Mapping[str, Sequence[Any]]  # columns of a token file


def train_seconds(params: Train, seed: int, training: Rows, validation: Rows) -> float:
    """Returns the seconds that all optimiser steps and validations take on this machine."""
    from medtune.modeling.adapters import add_adapter
    from medtune.modeling.loading import load_base
    from medtune.training.loop import Trainer

    double = params.bnb_4bit_use_double_quant
    model = load_base(params.precision, params.quantization, double_quantization=double)
    changes = {
        "init_lora_weights": True,
        "num_train_epochs": 1,
        "warmup_steps": 0,
        "eval_steps": STEPS + 1,
        "load_best_model_at_end": False,
        "early_stopping_patience": None,
    }
    timed = params.model_copy(update=changes)
    lengths = row_lengths(training["input_ids"])
    step = params.per_device_train_batch_size * params.gradient_accumulation_steps
    numbers = row_order(len(lengths), seed, 0)[: (STEPS + 1) * step]
    rows, one = (
        {name: [column[n] for n in chosen] for name, column in table.items()}
        for table, chosen in ((training, numbers), (validation, [0]))
    )
    run = Trainer(add_adapter(model, timed, seed), rows, one, timed, seed, pad_id=0)
    a_token = _seconds_a_token(run)
    steps = math.ceil(len(lengths) / step) * params.num_train_epochs
    every = params.eval_steps if params.eval_steps >= 1 else params.eval_steps * steps
    validations = max(1, steps / max(1, every))
    validated = validations * sum(row_lengths(validation["input_ids"])) / 3  # no backward pass
    return a_token * (sum(lengths) * params.num_train_epochs + validated)


def _seconds_a_token(run: Any) -> float:
    """Takes all steps of a short run; the first one warms up, unless there is no other."""
    with run.fast_layers():
        marks = [(time.perf_counter(), 0)]
        while not run.done():
            for _ in run.advance():
                pass
            marks.append((time.perf_counter(), run.history.tokens))
    (start, before), (end, after) = marks[min(1, len(marks) - 2)], marks[-1]
    return (end - start) / (after - before)


def evaluate_seconds(params: Evaluate, asked: Rows) -> float:
    """Returns the seconds of one evaluate stage, whose questions are `asked`.

    No cards are shown before them. Answers are assumed to be as long as the cards', except one of
    each batch that runs to max_new_tokens. Rows that have ended cost nothing.
    """
    from medtune.modeling.batch_limits import LOSS_BATCH
    from medtune.modeling.loading import load_base
    from medtune.modeling.logit_checks import enable_prefix_sharing
    from medtune.modeling.token_losses import summed_losses

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
    questions, count = sum(asked["prompt_length"]), len(lengths)
    references = sum(lengths) - questions  # in the pass that reads their questions
    choices = 300 if params.choice_questions is None else 2 * params.choice_questions
    cut = zip(asked["input_ids"], asked["prompt_length"], strict=True)
    first_rows = islice(cut, min(params.batch_size, TIMED_ROWS))
    prompts = [ids[:length] for ids, length in first_rows]
    first, a_step = generation_seconds(model, prompts, params)
    _, a_row_alone = generation_seconds(model, prompts[:1], params)
    answer = min(params.max_new_tokens, references / count)
    answering = (first + a_step * answer) * count / len(prompts)
    last_rows = a_row_alone * (params.max_new_tokens - answer) * count / params.batch_size
    scoring = a_token * (references + choices * CHOICE_TOKENS)
    return scoring + answering + max(a_row_alone, last_rows)


def generation_seconds(
    model: Any, prompts: list[list[int]], params: Evaluate
) -> tuple[float, float]:
    """Returns the seconds of the pass over the prompts, and of one more token for every row."""
    from medtune.generation.generate import generate

    def seconds(new_tokens: int) -> float:
        changes = {"max_new_tokens": new_tokens, "temperature": 0.0}
        start = time.perf_counter()
        generate(model, prompts, params.model_copy(update=changes), ends=set())
        return time.perf_counter() - start

    seconds(1)  # chooses a cache, once
    first, few = seconds(1), seconds(1 + NEW_TOKENS)
    many = seconds(1 + 2 * NEW_TOKENS)  # a GPU records a graph for the second token
    return first, max(0.0, many - few) / NEW_TOKENS
