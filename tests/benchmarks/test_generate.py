from pathlib import Path

import pytest

from benchmarks import generate
from benchmarks.generate import ARMS, Answering, equal_tokens, measure, summary
from benchmarks.measured import OURS
from medtune.config.loading import load_params
from medtune.modeling.loading import load_base

PROMPTS = [[257, 5, *range(n, n + 2 + n % 4)] for n in range(60, 71)]


@pytest.fixture(scope="module")
def answering(base_folder: Path) -> Answering:
    changed = {"max_new_tokens": 6, "batch_size": 4, "frequency_penalty": 0.0}
    params = load_params("evaluate").model_copy(update=changed)
    return Answering(load_base(folder=base_folder), params, {3, 200})


@pytest.mark.slow
def test_all_arms_answer_the_same_questions_alike(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {name: arm for name, arm in ARMS.items() if "continuous" not in name}
    monkeypatch.setattr(generate, "ARMS", arms)
    rows, answers = measure(answering, PROMPTS, rounds=3)
    assert rows.groupby("arm").size().to_dict() == dict.fromkeys(arms, 3)
    table = summary(rows, answers)
    assert table.index.tolist() == list(arms)
    assert table["answers equal to medtune's"].tolist() == ["11 of 11"] * len(arms)
    assert table["tokens"].tolist() == ["100.0%"] * len(arms)
    assert table.loc[OURS, "medtune is faster"] == "1.00 ×"


def test_an_answer_ends_with_its_first_end_token(answering: Answering) -> None:
    assert answering.ended([5, 3, 7, 200]) == [5, 3]
    assert answering.ended([5, 6]) == [5, 6]


def test_tokens_are_equal_up_to_the_first_that_differs() -> None:
    assert equal_tokens([5, 6, 7, 8], [5, 6, 9, 8]) == 2
    assert equal_tokens([5, 6], [5, 6, 7]) == 2
