from pathlib import Path
from typing import Any

import pytest

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.preflight.timing import evaluate_seconds, train_seconds
from medtune.runtime.params_file import PARAMS_FILE

pytestmark = pytest.mark.slow


@pytest.fixture
def params(base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    params = validate(read_yaml(PARAMS_FILE))
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/base").symlink_to(base_folder)
    return params


def rows(count: int) -> dict[str, list[Any]]:
    ids = [[5] * 10 + [n % 200 + 20] * (20 + n % 7) for n in range(count)]
    return {"input_ids": ids, "loss_start": [20] * count, "prompt_length": [20] * count}


def test_a_few_steps_are_scaled_to_all_cards(params: Params) -> None:
    few = train_seconds(params.train, 0, rows(40), rows(8))
    assert 0 < few < 60
    hundredfold = params.train.model_copy(update={"num_train_epochs": 100})
    assert train_seconds(hundredfold, 0, rows(40), rows(8)) > 10 * few


def test_one_batch_is_enough_to_time(params: Params) -> None:
    assert train_seconds(params.train, 0, rows(3), rows(3)) > 0


def test_time_of_answers_grows_with_their_number_and_that_of_choices(params: Params) -> None:
    none = params.evaluate.model_copy(update={"choice_questions": 0, "batch_size": 8})
    one = evaluate_seconds(none, rows(8))
    assert 0 < one < evaluate_seconds(none, rows(800))
    many = none.model_copy(update={"choice_questions": 20_000})
    assert evaluate_seconds(many, rows(8)) > 10 * one
