"""Multiple-choice questions: what a model knows, and what the fine-tuning made it forget.

Each option is scored as the answer to the question, in the prompt that all other questions get. The
likeliest per character is taken for chosen: `acc_norm` of lm-evaluation-harness. The other standard
way, the likeliest letter after a lettered list (Hendrycks et al. 2021), is too hard for a small
model: SmolLM2-135M-Instruct gets the letter right as rarely as by chance.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medtune.batches import by_length
from medtune.choice_questions import SETS, Question
from medtune.progress import progress
from medtune.prompts import PromptEncoder

BATCH = 8  # questions that go through the model together
BINS = 10
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
    """The questions with the option that the model holds for the likeliest, as SCHEMA has it.

    Questions of similar length go together; batches are spread over the processes there are.
    """
    from medtune.one_row import allow_one_row
    from medtune.packed_weights import packed_weights
    from medtune.processes import spread

    allow_one_row(model)
    batches = by_length([len(q.question) + sum(map(len, q.options)) for q in questions], BATCH)

    def answer(numbers: list[int]) -> list[dict[str, Any]]:
        asked = [questions[n] for n in numbers]
        return list(map(_answer, asked, log_likelihoods(model, encoder, asked)))

    with packed_weights(model, rows=BATCH * 50):
        found = spread(lambda own: list(map(answer, progress(own, unit="batch"))), batches)
    rows = dict(zip(chain(*batches), chain(*found), strict=True))
    return pa.Table.from_pylist([rows[n] for n in range(len(rows))], schema=SCHEMA)


def _answer(question: Question, scores: np.ndarray) -> dict[str, Any]:
    """A row as SCHEMA has it, from the log-likelihoods of the options.

    Their softmax per character says how probable each option is, given that it is one of them;
    undivided, log-likelihoods favour the shortest option.
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
    """Log-likelihood in nats of each option as the answer, summed over its tokens, (options,)."""
    import torch
    from torch.nn.functional import cross_entropy

    from medtune.losses import head_logits
    from medtune.one_row import branch_states

    prompts = [encoder.question_ids(question.question) for question in questions]
    options = [[encoder.answer_ids(text) for text in question.options] for question in questions]
    # What an option's tokens are foretold by: the prompt's last token and those before them.
    branches = [
        [[prompt[-1], *ids[:-1]] for ids in own]
        for prompt, own in zip(prompts, options, strict=True)
    ]
    with torch.inference_mode():
        hidden = branch_states(model, [prompt[:-1] for prompt in prompts], branches)
        targets = torch.tensor([*chain(*chain(*options))], device=hidden.device)
        losses = cross_entropy(head_logits(model, hidden), targets, reduction="none")
    parts = iter(losses.double().split([len(ids) for own in options for ids in own]))
    return [-np.array([next(parts).sum().item() for _ in own]) for own in options]


def choice_metrics(answers: pa.Table) -> dict[str, float]:
    """Flat: "choices.<set>.n", ".accuracy" and ".ece" of each set that was asked."""
    metrics: dict[str, float] = {}
    for name, rows in sets_of(answers).items():
        metrics[f"choices.{name}.n"] = rows.num_rows
        metrics[f"choices.{name}.accuracy"] = float(_hits(rows).mean())
        metrics[f"choices.{name}.ece"] = calibration_error(rows)
    return metrics


def sets_of(answers: pa.Table) -> dict[str, pa.Table]:
    """The rows of each set that has any."""
    parts = {name: answers.filter(pc.equal(answers["set"], name)) for name in SETS}
    return {name: rows for name, rows in parts.items() if rows.num_rows}


def reliability(answers: pa.Table) -> list[tuple[int, float, float]]:
    """The reliability curve: answers, their mean probability and their accuracy, in each bin.

    Ten bins of equal width for the chosen option's probability, (0, 0.1] … (0.9, 1], without those
    that no answer falls into (Guo et al. 2017, section 2).
    """
    hits, probabilities = _hits(answers), answers["probability"].to_numpy()
    bins = np.ceil(probabilities * BINS)
    return [
        (int(here.sum()), float(probabilities[here].mean()), float(hits[here].mean()))
        for here in (bins == number for number in np.unique(bins))
    ]


def calibration_error(answers: pa.Table) -> float:
    """Expected calibration error, 0 to 1, lower is better (Guo et al. 2017, equation 3).

    The gap between mean probability and accuracy of each bin, weighed by its answers. It is never
    negative, so that chance alone lifts it where answers are few. Example: two answers held for
    probable by 0.9, one of them right: |0.9 - 0.5| = 0.4.
    """
    gaps = [n * abs(probability - accuracy) for n, probability, accuracy in reliability(answers)]
    return sum(gaps) / answers.num_rows


def _hits(answers: pa.Table) -> np.ndarray:
    """Which answers are right, bool (rows,)."""
    return pc.equal(answers["chosen"], answers["correct"]).to_numpy()
