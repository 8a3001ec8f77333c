from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from medtune.config.loading import PARAMS_FILE, read_yaml, validate
from medtune.config.schema import Params
from medtune.modeling.collation import training_order
from medtune.preflight.cards import Cards, is_made, known_cards, largest_batches, running, stand_ins
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_table

SECTIONS = {
    "download@model": "download.model",
    "download@dataset": "download.dataset",
    "clean": "clean",
    "split": "split",
}


@pytest.fixture
def params() -> Params:
    return validate(read_yaml(PARAMS_FILE))


@pytest.fixture
def project(
    params: Params, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project of three records whose splits are made, whose tokens are not."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/base").symlink_to(base_folder)
    Path("data/raw").mkdir(parents=True)
    records = [{"question": "abc"[:n], "answer": "x" * 10 * n} for n in (1, 2, 3)]
    for split in ("train", "validation", "test"):
        write_table(Path(f"data/split/{split}.parquet"), pa.Table.from_pylist(records))
    write_table(Path("data/clean/records.parquet"), pa.Table.from_pylist(records))
    lock(params, *SECTIONS)
    return tmp_path


def lock(params: Params, *stages: str) -> None:
    content: dict[str, Any] = {"stages": {}}
    for stage in stages:
        node: Any = params.model_dump()
        for part in SECTIONS[stage].split("."):
            node = node[part]
        content["stages"][stage] = {"params": {"params.yaml": {SECTIONS[stage]: node}}}
    YAML().dump(content, Path("dvc.lock"))


def with_tokenize(params: Params, **values: Any) -> Params:
    return params.model_copy(update={"tokenize": params.tokenize.model_copy(update=values)})


def test_output_of_other_parameters_does_not_count_as_made(project: Path, params: Params) -> None:
    assert is_made("split", params)
    download = params.download.model_copy(update={"dataset": "file://other.csv"})
    other = params.model_copy(update={"download": download})
    assert is_made("download@model", other) and not is_made("split", other)


def test_cut_cards_are_counted_before_tokenize_has_run(project: Path, params: Params) -> None:
    style = {"prompt_style": "question_answer", "system_prompt": None}
    prompt = len("Question: a\nAnswer:")  # a token of the test model is a byte
    cards = known_cards(with_tokenize(params, max_length_tokens=prompt + 16, **style))["train"]
    assert cards.prompts == [prompt, prompt + 1, prompt + 2]
    assert cards.lengths == [prompt + len(" " + "x" * 10) + 1, prompt + 16, prompt + 16]
    assert cards.truncated == [False, True, True]
    assert cards.without_room == 0
    assert cards.beginning == len("Question: a")
    tight = with_tokenize(params, max_length_tokens=prompt + 2, **style)
    assert known_cards(tight)["train"].without_room == 2


def test_cards_that_will_be_dropped_do_not_count(project: Path, params: Params) -> None:
    style = {"prompt_style": "question_answer", "system_prompt": None, "truncation": "drop"}
    prompt = len("Question: a\nAnswer:")
    cards = known_cards(with_tokenize(params, max_length_tokens=prompt + 16, **style))
    assert (cards["train"].count, cards["train"].lengths) == (1, [prompt + 12])
    assert cards["train"].is_whole and not any(cards["train"].truncated)
    with pytest.raises(InputError, match="leaves no record of train: raise it"):
        known_cards(with_tokenize(params, max_length_tokens=prompt + 3, **style))


def test_records_stand_for_splits_that_are_not_made(project: Path, params: Params) -> None:
    lock(params, "download@model", "download@dataset", "clean")
    cards = known_cards(params)
    assert [own.count for own in cards.values()] == [2, 0, 0]
    assert not cards["train"].is_whole


def test_missing_cards_name_the_stage_that_makes_them(project: Path, params: Params) -> None:
    lock(params, "download@model")
    with pytest.raises(InputError, match="dvc repro clean"):
        known_cards(params)


def test_stand_ins_are_as_long_as_the_cards_and_share_what_they_do() -> None:
    assert stand_ins([3, 5, 4], 2) == [[0, 0, 1], [0, 0, 2, 2, 2], [0, 0, 1, 1]]
    assert stand_ins([1], 2) == [[0]]


def test_rows_retire_as_answers_end_and_one_never_does() -> None:
    assert running([1, 2, 9], 5) == [3, 2, 1, 1, 1]
    assert running([2, 2, 2, 2, 1], 3) == [5, 4, 1]


def test_largest_batch_is_the_one_with_most_tokens(params: Params) -> None:
    lengths = list(range(10, 40))
    cards = Cards(30, [5] * 30, lengths, [5] * 30, [False] * 30, 4)
    job = largest_batches({"train": cards, "validation": cards, "test": cards}, params, 16)
    batches = training_order(30, params.train.per_device_train_batch_size, params.seed, 0)
    assert params.train.num_train_epochs == 1
    assert sum(job["rows"]) == max(sum(lengths[row] for row in batch) for batch in batches)
    assert job["likelihood"] == lengths[-16:]
    assert job["beginning"] == 4
    assert len(job["prompts"]) == 30


def test_unknown_cards_count_as_the_longest_there_can_be(params: Params) -> None:
    job = largest_batches({}, params, 16)
    assert job["rows"] == [192] * 8 and job["cached"] == 96 + 96
