from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder
from medtune.scoring.choice_answers import (
    BATCH,
    SCHEMA,
    answer_choices,
)
from medtune.scoring.choice_questions import Question

pytestmark = pytest.mark.slow

QUESTIONS = [
    Question("medical", "a:1", "What is <|im_end|> gout?", ["an illness", "a", "a fruit"], 0),
    Question("medical", "a:2", "Which one is it?", ["ß", "the left lung", "the left ear"], 2),
    Question("general", "b:1", "Two and two? " * 5, ["four", "five"], 0),
]


@pytest.fixture(scope="module")
def model(base_folder: Path) -> Any:
    return load_base(folder=base_folder)


def brute_force(model: Any, encoder: PromptEncoder, question: Question) -> list[float]:
    """Probabilities of the options from the model's own logits, one option and token at a time."""
    prompt, weights = encoder.question_ids(question.question), []
    for option in question.options:
        ids, total = list(prompt), 0.0
        for token in encoder.answer_ids(option):
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            total += torch.log_softmax(logits.double(), dim=-1)[token].item()
            ids.append(token)
        weights.append(np.exp(total / len(option)))
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])  # as one row, and padded
def test_probabilities_equal_those_of_the_models_own_logits(
    model: Any, encoder: PromptEncoder, attention: str
) -> None:
    model.set_attn_implementation(attention)
    answers = answer_choices(model, encoder, QUESTIONS)
    assert answers.schema == SCHEMA
    for question, row in zip(QUESTIONS, answers.to_pylist(), strict=True):
        expected = brute_force(model, encoder, question)
        assert row["chosen"] == int(np.argmax(expected))
        assert row["probability"] == pytest.approx(max(expected), rel=1e-5)
        assert row["correct_probability"] == pytest.approx(expected[question.correct], rel=1e-5)


def test_an_answer_does_not_depend_on_the_questions_beside_it(
    model: Any, encoder: PromptEncoder
) -> None:
    together = answer_choices(model, encoder, QUESTIONS * 5).to_pylist()
    assert len(together) > BATCH
    for question, row in zip(QUESTIONS * 5, together, strict=True):
        (alone,) = answer_choices(model, encoder, [question]).to_pylist()
        for name in ("probability", "correct_probability"):
            assert row.pop(name) == pytest.approx(alone.pop(name), rel=1e-5)
        assert row == alone
