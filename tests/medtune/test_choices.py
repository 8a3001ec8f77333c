from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from medtune.choice_questions import Question
from medtune.choices import (
    BATCH,
    SCHEMA,
    answer_choices,
    calibration_error,
    choice_metrics,
    reliability,
)
from medtune.models import load_base
from medtune.prompts import PromptEncoder, PromptFormat

QUESTIONS = [
    Question("medical", "a:1", "What is <|im_end|> gout?", ["an illness", "a", "a fruit"], 0),
    Question("medical", "a:2", "Which one is it?", ["ß", "the left lung", "the left ear"], 2),
    Question("general", "b:1", "Two and two? " * 5, ["four", "five"], 0),
]


@pytest.fixture(scope="module")
def model(base_folder: Path) -> Any:
    return load_base(folder=base_folder)


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> PromptEncoder:
    return PromptEncoder(tokenizer, PromptFormat("chat", "Be brief."))


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


def answers(*rows: tuple[str, float, bool]) -> pa.Table:
    """Answers with set, probability and whether they are right."""
    return pa.Table.from_pylist(
        [
            {
                **{"set": name, "id": f"{i}", "question": "?", "options": ["a", "b"]},
                **{"correct": 0, "chosen": 0 if right else 1},
                **{"probability": probability, "correct_probability": 0.5},
            }
            for i, (name, probability, right) in enumerate(rows)
        ],
        schema=SCHEMA,
    )


def test_calibration_error_equals_the_one_by_hand() -> None:
    table = answers(
        *(("medical", 0.25, True), ("medical", 0.3, False), ("medical", 0.95, True)),
        *(("general", 1.0, False), ("general", 0.85, True)),
    )
    parts = reliability(table)
    assert parts == [
        (2, pytest.approx(0.275), 0.5),  # 0.3 is the upper limit of (0.2, 0.3]
        (1, pytest.approx(0.85), 1.0),
        (2, pytest.approx(0.975), 0.5),
    ]
    assert calibration_error(table) == pytest.approx((2 * 0.225 + 0.15 + 2 * 0.475) / 5)
    metrics = choice_metrics(table)
    assert metrics["choices.medical.n"] == 3 and metrics["choices.general.n"] == 2
    assert metrics["choices.medical.accuracy"] == pytest.approx(2 / 3)
    assert metrics["choices.medical.ece"] == pytest.approx((2 * 0.225 + 0.05) / 3)
    assert metrics["choices.general.accuracy"] == 0.5


def test_of_no_answers_there_are_no_metrics() -> None:
    assert choice_metrics(SCHEMA.empty_table()) == {}
