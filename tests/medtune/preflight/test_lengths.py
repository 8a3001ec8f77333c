from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from medtune.config.allowed_values import SPLITS
from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.generation.batch_limits import ROW_TOKENS
from medtune.modeling.token_files import HISTORY
from medtune.preflight import lengths
from medtune.preflight.lengths import RECORDS, Lengths, Outputs, known_lengths, largest_batches
from medtune.runtime.atomic_files import write_table
from medtune.runtime.params_file import PARAMS_FILE
from medtune.scoring.out_of_domain_questions import QUESTIONS

GRAPH = {  # stage: params, dependency, output
    "download@model": ("download.model", None, "models/base"),
    "download@dataset": ("download.dataset", None, "data/raw"),
    "clean": ("clean", "data/raw", str(RECORDS)),
}


@pytest.fixture
def params() -> Params:
    return validate(read_yaml(PARAMS_FILE))


@pytest.fixture
def project(
    params: Params, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project of three records that have been cleaned and not yet split."""
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/base").symlink_to(base_folder)
    records = [{"question": "abc"[:n], "answer": "x" * 10 * n} for n in (1, 2, 3)]
    write_table(RECORDS, pa.Table.from_pylist(records))
    stages = {}
    for name, (key, dependency, output) in GRAPH.items():
        value: Any = params.model_dump()
        for part in key.split("."):
            value = value[part]
        stages[name] = {
            "deps": [{"path": dependency}] if dependency else [],
            "params": {"params.yaml": {key: value}},
            "outs": [{"path": output}],
        }
    YAML().dump({"stages": stages}, Path("dvc.lock"))


def with_tokenize(params: Params, **values: Any) -> Params:
    plain = {"prompt_style": "question_answer", "system_prompt": None}
    return params.model_copy(update={"tokenize": params.tokenize.model_copy(update=plain | values)})


@pytest.mark.usefixtures("project")
def test_an_output_of_other_parameters_is_not_current(params: Params) -> None:
    assert Outputs(params).has(RECORDS)
    download = params.download.model_copy(update={"dataset": "file://other.csv"})
    other = Outputs(params.model_copy(update={"download": download}))
    assert other.has(Path("models/base")) and not other.has(RECORDS)


@pytest.mark.usefixtures("project")
def test_cut_answers_are_counted_before_tokenize_has_run(params: Params) -> None:
    prompt = len("Question: a\nAnswer:")  # a token of the test model is a byte
    cut = with_tokenize(params, max_length_tokens=prompt + 16)
    found = known_lengths(cut, Outputs(cut))
    assert found is not None
    assert found["train"].prompts == [prompt, prompt + 1, prompt + 2]
    assert found["train"].cards == [prompt + len(" " + "x" * 10) + 1, prompt + 16, prompt + 16]
    assert found["train"].truncated == [False, True, True]
    assert found["train"].without_room == 0
    tight = with_tokenize(params, max_length_tokens=prompt + 2)
    found = known_lengths(tight, Outputs(tight))
    assert found is not None and found["train"].without_room == 2


@pytest.mark.usefixtures("project")
def test_all_answers_of_a_conversation_count_before_tokenize_has_run(params: Params) -> None:
    table = pq.read_table(RECORDS).append_column("id", [["a", "b", "c"]])
    said = [{"role": "user", "content": "b"}, {"role": "assistant", "content": "yy"}]
    history = pa.array([said, [], []], HISTORY.type)
    write_table(RECORDS, table.append_column("history", history))
    style = with_tokenize(params, max_length_tokens=200)
    found = known_lengths(style, Outputs(style))
    assert found is not None
    alone = len("Question: a\nAnswer:")
    assert found["train"].prompts == [2 * alone + len(" yy") + 3, alone + 1, alone + 2]
    assert found["train"].supervised[0] == len(" yy") + 1 + len(" " + "x" * 10) + 1
    tight = with_tokenize(params, max_length_tokens=alone + 2)
    found = known_lengths(tight, Outputs(tight))
    assert found is not None and found["train"].without_room == 2


def test_lengths_are_unknown_before_anything_has_run(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert known_lengths(params, Outputs(params)) is None


def test_the_largest_batch_is_the_one_with_most_tokens(params: Params) -> None:
    cards = Lengths([5] * 12, [10] * 11 + [40], [False] * 12, supervised=[5] * 11 + [35])
    params = shown(params, 0)
    found = largest_batches(params, {"train": cards, "validation": cards, "test": cards})
    rows = params.train.per_device_train_batch_size
    assert found.train in (10 * (rows - 1) + 40, 10 * (12 - rows - 1) + 40)  # of its epoch's two
    assert found.longest == 40 and found.cached == 5 + params.evaluate.max_new_tokens
    assert (found.scored, found.scored_answers) == (150, 90)


def test_cards_before_a_question_make_its_row_longer_and_rows_fewer(params: Params) -> None:
    cards = Lengths([100] * 400, [200] * 400, [], [100] * 400)
    found = largest_batches(shown(params, 3), dict.fromkeys(SPLITS, cards))
    assert found.cached == 100 + 3 * 200 + params.evaluate.max_new_tokens
    assert found.answered == params.evaluate.batch_size * ROW_TOKENS // found.cached
    assert largest_batches(shown(params, 0), dict.fromkeys(SPLITS, cards)).cached < 200


def shown(params: Params, cards: int) -> Params:
    evaluate = params.evaluate.model_copy(update={"few_shot": cards})
    return params.model_copy(update={"evaluate": evaluate})


def test_unknown_cards_count_as_the_longest_that_there_can_be(params: Params) -> None:
    found = largest_batches(shown(params, 0), None)
    assert (found.train, found.supervised, found.cached) == (8 * 192, 8 * 96, 96 + 96)


def test_the_count_repeated_here_is_that_of_the_stage() -> None:
    assert len(QUESTIONS) == lengths.GENERAL_QUESTIONS
