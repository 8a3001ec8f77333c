"""How long train and evaluate will take: a few steps of theirs, timed and scaled to all."""

import time
from collections.abc import Sequence
from itertools import islice
from statistics import median
from typing import Any

from medtune.config.schema import Evaluate, Params, Train
from medtune.generation.generate import generate
from medtune.modeling.adapters import add_adapter
from medtune.modeling.collation import by_length
from medtune.modeling.loading import load_base
from medtune.modeling.losses import LOSS_BATCH, summed_losses
from medtune.modeling.prompts import PromptEncoder
from medtune.preflight.cards import Cards, encoder_for, known_questions, running, stand_ins
from medtune.scoring.choice_questions import Question
from medtune.scoring.multiple_choice import answer_choices
from medtune.training.loop import mean_loss, plan_steps, train

TIMED_STEPS = 2
TIMED_QUESTIONS = 6
NEW_TOKENS = 4


def train_seconds(params: Train, seed: int, cards: Cards, validation: Cards) -> tuple[float, int]:
    """Seconds of all optimiser steps and validations, and the number of steps.

    A warm-up and two steps of typical length are taken.
    """
    model = load_base(
        params.precision,
        params.quantization,
        double_quantization=params.bnb_4bit_use_double_quant,
    )
    model = add_adapter(model, params.model_copy(update={"init_lora_weights": True}), seed)
    plan = plan_steps(len(cards.lengths), params, seed)
    costs = [_taken(cards.lengths, passes, cards.beginning) for passes in plan]
    typical = sorted(range(len(plan)), key=lambda step: abs(costs[step] - median(costs)))
    chosen = [row for step in typical[: TIMED_STEPS + 2] for rows in plan[step] for row in rows]
    rows = _rows(cards, chosen)
    short = params.model_copy(
        update={
            "num_train_epochs": 1,
            "logging_steps": 1,
            "eval_steps": float(len(plan) + TIMED_STEPS),
            "early_stopping_patience": None,
        }
    )
    few = _rows(validation, range(min(len(validation.lengths), 2 * LOSS_BATCH)))
    times = [
        (time.perf_counter(), point.step)
        for point in islice(train(model, rows, few, short, seed, 0), TIMED_STEPS + 1)
    ]
    lengths = [len(ids) for ids in rows["input_ids"]]
    tried = plan_steps(len(lengths), short, seed)
    timed = [_taken(lengths, passes, cards.beginning) for passes in tried]
    tokens = sum(timed[times[0][1] : times[-1][1]])
    a_token = (times[-1][0] - times[0][0]) / max(1, tokens)
    start = time.perf_counter()
    mean_loss(model, few, params, 0)
    a_validation_token = (time.perf_counter() - start) / sum(len(ids) for ids in few["input_ids"])
    whole = cards.count / len(cards.lengths)
    steps = round(len(plan) * whole)
    every = params.eval_steps if params.eval_steps >= 1 else max(1, params.eval_steps * steps)
    validations = max(1, round(steps / every))
    all_validation = sum(validation.lengths) / len(validation.lengths) * validation.count
    seconds = a_token * sum(costs) * whole + validations * a_validation_token * all_validation
    return seconds, steps


def evaluate_seconds(params: Params, cards: Cards) -> float:
    """Seconds of likelihoods, choices and answers of one model, if those are as long as the cards'.

    A token costs what a pass costs by itself, and each row in it; two batches tell them apart.
    """
    model = load_base()
    likelihood = _likelihood_seconds(model, cards)
    questions, evaluate = known_questions(params), params.evaluate
    choices = _choice_seconds(model, encoder_for(params.tokenize), questions) if questions else 0.0
    batches = by_length(cards.prompts, evaluate.batch_size)
    lengths = [cards.prompts[row] for row in batches[len(batches) // 2]]
    typical = stand_ins(lengths, cards.beginning)
    prefill, large = _generation_seconds(model, evaluate, typical)
    _, small = _generation_seconds(model, evaluate, typical[: max(1, len(typical) // 5)])
    rows = len(typical), max(1, len(typical) // 5)
    a_row = (large - small) / max(1, rows[0] - rows[1])
    seconds = 0.0
    for batch in batches:
        answers = [cards.lengths[row] - cards.prompts[row] for row in batch]
        counts = running(answers, evaluate.max_new_tokens)
        seconds += sum(max(0.0, large - a_row * (rows[0] - count)) for count in counts)
        seconds += prefill * sum(cards.prompts[row] for row in batch) / sum(lengths)
    return likelihood + choices + seconds * cards.count / len(cards.lengths)


def _likelihood_seconds(model: Any, cards: Cards) -> float:
    batches = by_length(cards.lengths, LOSS_BATCH)
    rows = _rows(cards, batches[len(batches) // 2])
    start = time.perf_counter()
    summed_losses(model, rows["input_ids"], rows["loss_start"])
    tokens = sum(len(ids) for ids in rows["input_ids"])
    mean_tokens = sum(cards.lengths) / len(cards.lengths)
    return (time.perf_counter() - start) / tokens * mean_tokens * cards.count


def _choice_seconds(model: Any, encoder: PromptEncoder, questions: Sequence[Question]) -> float:
    some = sorted(questions, key=lambda question: len(question.question))
    some = some[:: max(1, len(some) // TIMED_QUESTIONS)]
    start = time.perf_counter()
    answer_choices(model, encoder, some)
    return (time.perf_counter() - start) / len(some) * len(questions)


def _generation_seconds(
    model: Any, params: Evaluate, prompts: list[list[int]]
) -> tuple[float, float]:
    """Seconds of the pass over the prompts, and of a token of all rows after it."""
    times = [time.perf_counter()]
    short = params.model_copy(update={"max_new_tokens": NEW_TOKENS})
    generate(model, prompts, short, set(), (), lambda: times.append(time.perf_counter()))
    return times[1] - times[0], (times[-1] - times[1]) / (NEW_TOKENS - 1)


def _rows(cards: Cards, numbers: Any) -> dict[str, list[Any]]:
    ids = stand_ins([cards.lengths[n] for n in numbers], cards.beginning)
    return {"input_ids": ids, "loss_start": [cards.loss_starts[n] for n in numbers]}


def _taken(lengths: list[int], passes: list[list[int]], beginning: int) -> int:
    """The tokens that an optimiser step takes, what all begin with once a pass."""
    rests = (sum(lengths[row] - beginning for row in rows) for rows in passes)
    return len(passes) * beginning + sum(rests)
