from pathlib import Path
from typing import Any

import pytest

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.preflight import timing as check_time
from medtune.preflight.cards import Cards
from medtune.preflight.timing import evaluate_seconds, train_seconds
from medtune.scoring.choice_questions import Question


@pytest.fixture
def params(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.setattr(check_time, "load_base", lambda *_, **__: load_base(folder=base_folder))
    monkeypatch.setattr(check_time, "known_questions", lambda _: [])
    return validate(read_yaml(Path("params.yaml")))


def cards(count: int, sample: int) -> Cards:
    lengths = [30 + n % 7 for n in range(sample)]
    return Cards(count, [20] * sample, lengths, [20] * sample, [False] * sample, 15)


def test_all_steps_are_counted_and_a_few_are_timed(params: Params) -> None:
    few = cards(8, 8)
    seconds, steps = train_seconds(params.train, 0, cards(80, 80), few)
    assert steps == 10 and 0 < seconds < 60
    two = params.train.model_copy(update={"num_train_epochs": 2})
    assert train_seconds(two, 0, cards(80, 80), few)[1] == 20


def test_a_sample_stands_for_all_cards(params: Params) -> None:
    assert train_seconds(params.train, 0, cards(8000, 80), cards(8, 8))[1] == 1000


def test_fewer_steps_than_are_timed_do(params: Params) -> None:
    assert train_seconds(params.train, 0, cards(9, 9), cards(8, 8))[1] == 2


def test_a_step_takes_what_all_cards_begin_with_once_a_pass() -> None:
    taken = check_time._taken([30, 31, 36], [[0, 1], [2]], beginning=20)
    assert taken == (20 + 10 + 11) + (20 + 16)


def test_time_of_answers_grows_with_their_number(params: Params) -> None:
    one = evaluate_seconds(params, cards(75, 75))
    assert 0 < one < evaluate_seconds(params, cards(75 * 40, 75))


def test_time_of_choices_grows_with_their_number(
    params: Params, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question("medical", "1", "Which is an organ?", ["liver", "chair"], 0)
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    monkeypatch.setattr(check_time, "encoder_for", lambda style: encoder)
    none = evaluate_seconds(params, cards(8, 8))
    monkeypatch.setattr(check_time, "known_questions", lambda _: [question] * 20_000)
    assert evaluate_seconds(params, cards(8, 8)) > 10 * none
