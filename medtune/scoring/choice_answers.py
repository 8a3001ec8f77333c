"""Asks multiple-choice questions: what a model knows, and what fine-tuning made it forget.

Each option is scored as an answer to the question, with the prompt of all other questions. The
option that is likeliest per character counts as chosen (`acc_norm` of lm-evaluation-harness). The
other standard way, the likeliest letter after a lettered list (Hendrycks et al. 2021), is too hard
for a small model: SmolLM2-135M-Instruct picks the right letter no more often than chance.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from medtune.modeling.collation import by_length
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.progress import progress
from medtune.scoring.choice_questions import Question

BATCH = 8  # questions that go through the model together
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("set", "id", "question")),
        ("options", pa.list_(pa.string())),
        ("correct", pa.int32()),  # number of an option, from 0
        ("chosen", pa.int32()),
        ("probability", pa.float64()),  # of the chosen option; those of all options sum to 1
        ("correct_probability", pa.float64()),
    ]
)


def answer_choices(model: Any, encoder: PromptEncoder, questions: Sequence[Question]) -> pa.Table:
    """Returns a table of SCHEMA: the questions with the option that the model finds likeliest.

    Questions of similar length go together, and the batches are divided between the processes.
    """
    from medtune.modeling.distributed import divide_among_processes
    from medtune.modeling.logit_checks import enable_prefix_sharing
    from medtune.modeling.onednn import packed_weights

    enable_prefix_sharing(model)
    batches = by_length([len(q.question) + sum(map(len, q.options)) for q in questions], BATCH)

    def answer(numbers: list[int]) -> list[dict[str, Any]]:
        asked = [questions[n] for n in numbers]
        return list(map(_answer, asked, log_likelihoods(model, encoder, asked)))

    def answer_all(own: Sequence[list[int]]) -> list[list[dict[str, Any]]]:
        with progress(own, unit="batch") as bar:
            return [answer(numbers) for numbers in bar]

    with packed_weights(model, tokens=BATCH * 50):
        found = divide_among_processes(answer_all, batches)
    rows = dict(zip(chain(*batches), chain(*found), strict=True))
    return pa.Table.from_pylist([rows[n] for n in range(len(rows))], schema=SCHEMA)


def _answer(question: Question, scores: np.ndarray) -> dict[str, Any]:
    """Returns a row of SCHEMA, from the log-likelihoods of the options.

    The softmax of the log-likelihoods per character says how probable each option is, given that
    one of them is chosen. Log-likelihoods of whole options favour the shortest one.
    """
    scores = scores / [len(option) for option in question.options]
    weights = np.exp(scores - scores.max())
    probabilities = weights / weights.sum()
    chosen = int(probabilities.argmax())
    return asdict(question) | {
        "chosen": chosen,
        "probability": probabilities[chosen],
        "correct_probability": probabilities[question.correct],
    }


def log_likelihoods(
    model: Any, encoder: PromptEncoder, questions: Sequence[Question]
) -> list[np.ndarray]:
    """Returns each option's log-likelihood in nats as the answer, over all tokens, (options,)."""
    import torch
    from torch.nn.functional import cross_entropy

    from medtune.modeling.shared_prefix import continuation_logits

    prompts = [encoder.question_ids(question.question) for question in questions]
    options = [[encoder.answer_ids(text) for text in question.options] for question in questions]
    # Each token is predicted by the one before it: the first of an option by the prompt's last.
    continuations = [
        [[prompt[-1], *ids[:-1]] for ids in own]
        for prompt, own in zip(prompts, options, strict=True)
    ]
    with torch.inference_mode():
        logits = continuation_logits(model, [prompt[:-1] for prompt in prompts], continuations)
        targets = torch.tensor([*chain(*chain(*options))], device=logits.device)
        losses = cross_entropy(logits, targets, reduction="none")
    parts = iter(losses.double().split([len(ids) for own in options for ids in own]))
    return [-np.array([next(parts).sum().item() for _ in own]) for own in options]
