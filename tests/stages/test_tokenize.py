import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.config.allowed_values import SplitName
from medtune.config.loading import load_params
from medtune.config.schema import Tokenize
from medtune.modeling import token_files
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import (
    CONVERSATIONS,
    HISTORY,
    PROMPT_FORMAT,
    SCHEMA,
    TEXTS,
    TOKENS,
    read_batches,
    read_tokens,
    token_writer,
)
from medtune.modeling.token_rows import card_batch
from medtune.runtime.atomic_files import write_table
from medtune.runtime.errors import InputError
from stages import tokenize as stage

RECORD = {
    "id": "a:0",
    "question": "What is gout?",
    "answer": "A joint disease.",
    "kind": "definition",
    "topic": "gout",
    "source": "a",
    "group": "g",
}
LONG = RECORD | {"id": "a:1", "answer": "A disease of the joints. " * 20}
ASKED_AT_LENGTH = RECORD | {"id": "a:2", "question": "What is gout? " * 30}
PARAMS: Tokenize = load_params("tokenize")
Main = Callable[..., dict[str, Any]]


def batch(
    encoder: PromptEncoder, *records: dict[str, str], split: SplitName = "train", **changed: Any
) -> list[dict[str, Any]]:
    params = PARAMS.model_copy(update=changed)
    texts = pa.RecordBatch.from_pylist(list(records), TEXTS)
    return card_batch(texts, encoder, params, split)[0].to_pylist()


@pytest.fixture
def run_stage(base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Runs the stage on these records in each split and returns its metrics."""
    params = Path("params.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/base").symlink_to(base_folder)

    def run_stage(
        *records: dict[str, str], test: list[dict[str, str]] | None = None, **changed: str
    ) -> dict[str, Any]:
        text = params
        for key, value in ({"max_length_tokens": "400"} | changed).items():
            old = f"  {key}: {getattr(PARAMS, key) or 'null'}"
            assert old in text
            text = text.replace(old, f"  {key}: {value}")
        Path("params.yaml").write_text(text)
        for split in stage.SPLITS:
            rows = test if split == "test" and test else list(records)
            write_table(stage.SPLIT / f"{split}.parquet", pa.Table.from_pylist(rows))
        stage.main()
        return json.loads(stage.METRICS.read_text())

    return run_stage


def test_the_loss_covers_the_answer_and_its_end_of_turn_token(encoder: PromptEncoder) -> None:
    (row,) = batch(encoder, RECORD)
    start = row["loss_start"]
    assert row["input_ids"][:start] == encoder.question_ids("What is gout?")
    expected = [*encoder.answer_ids("A joint disease."), encoder.end_id]
    assert row["input_ids"][start:] == expected
    assert {name: row[name] for name in TEXTS.names} == {n: RECORD[n] for n in TEXTS.names}
    assert not row["truncated"]


def test_the_loss_can_cover_all_tokens(encoder: PromptEncoder) -> None:
    (row,) = batch(encoder, RECORD, loss_on="all")
    assert row["loss_start"] == 1
    assert row["prompt_length"] == len(encoder.question_ids("What is gout?"))


def test_a_long_answer_is_cut_and_keeps_its_end(encoder: PromptEncoder) -> None:
    limit = len(encoder.question_ids("What is gout?")) + 5
    (row,) = batch(encoder, RECORD, max_length_tokens=limit)
    assert len(row["input_ids"]) == limit
    assert row["input_ids"][-5:] == [*encoder.answer_ids("A jo"), encoder.end_id]
    assert row["truncated"]


def test_a_card_that_just_fits_is_neither_cut_nor_dropped(encoder: PromptEncoder) -> None:
    (whole,) = batch(encoder, RECORD, max_length_tokens=400)
    length = len(whole["input_ids"])
    assert batch(encoder, RECORD, max_length_tokens=length, truncation="drop") == [whole]
    assert batch(encoder, RECORD, max_length_tokens=length - 1, truncation="drop") == []


def test_a_long_card_is_dropped_but_a_reference_of_the_test_split_is_cut(
    encoder: PromptEncoder,
) -> None:
    for split, ids in (("train", ["a:0"]), ("validation", ["a:0"]), ("test", ["a:0", "a:1"])):
        rows = batch(encoder, RECORD, LONG, split=split, truncation="drop", max_length_tokens=200)
        assert [row["id"] for row in rows] == ids
        assert [row["truncated"] for row in rows] == [False, True][: len(ids)]
        assert all(row["input_ids"][-1] == encoder.end_id for row in rows)


@pytest.mark.slow
def test_cut_and_dropped_cards_are_counted_per_split(run_stage: Main) -> None:
    cut = run_stage(RECORD, LONG)
    dropped = run_stage(RECORD, LONG, truncation="drop")
    for split in ("train", "validation"):
        assert (cut[f"{split}.records"], cut[f"{split}.truncated"]) == (2, 1)
        assert cut[f"{split}.dropped"] == 0
        assert (dropped[f"{split}.records"], dropped[f"{split}.truncated"]) == (1, 0)
        assert dropped[f"{split}.dropped"] == 1
    test = {key for key in cut if key.startswith("test.")}
    assert len(test) == 5 and all(cut[key] == dropped[key] for key in test)


@pytest.mark.slow
def test_counts_are_those_of_the_files(run_stage: Main) -> None:
    metrics = run_stage(RECORD, LONG)
    rows = read_tokens(TOKENS / "train.arrow").to_pylist()
    assert metrics["train.tokens"] == sum(len(row["input_ids"]) for row in rows)
    supervised = sum(len(row["input_ids"]) - row["loss_start"] for row in rows)
    assert metrics["train.supervised_tokens"] == supervised


@pytest.mark.slow
def test_a_prompt_without_room_for_an_answer_is_an_error(run_stage: Main, tokenizer: Any) -> None:
    run_stage(RECORD)
    before = {path: path.read_bytes() for path in TOKENS.iterdir()}
    system = load_params("tokenize.system_prompt")
    question = ASKED_AT_LENGTH["question"]
    longest = len(PromptEncoder(tokenizer, PromptFormat("chat", system)).question_ids(question))
    message = (
        "is 400, which leaves no room for an answer in 1 records of test, first in a:2: raise it "
        rf"to {longest + 2} or more, or set tokenize\.truncation to drop"
    )
    with pytest.raises(InputError, match=message):
        run_stage(LONG, test=[RECORD, ASKED_AT_LENGTH])
    assert {path: path.read_bytes() for path in TOKENS.iterdir()} == before
    metrics = run_stage(RECORD, test=[ASKED_AT_LENGTH], max_length_tokens=f"{longest + 2}")
    assert (metrics["test.records"], metrics["test.truncated"]) == (1, 1)


@pytest.mark.slow
def test_test_questions_without_room_are_dropped_with_a_warning(
    run_stage: Main, caplog: pytest.LogCaptureFixture
) -> None:
    cards = [RECORD, ASKED_AT_LENGTH]
    with caplog.at_level(logging.WARNING, "medtune"):
        metrics = run_stage(RECORD, ASKED_AT_LENGTH, truncation="drop", test=[RECORD])
        assert not caplog.records
        metrics = run_stage(RECORD, LONG, truncation="drop", test=cards)
    assert (metrics["test.records"], metrics["test.dropped"]) == (1, 1)
    assert "leaves no room to answer 1 test questions: they are skipped" in caplog.text


def test_a_split_without_records_is_an_error(run_stage: Main) -> None:
    with pytest.raises(InputError, match="400, which leaves no record of train: raise it, or set"):
        run_stage(LONG, truncation="drop")


@pytest.mark.slow
def test_the_disclaimer_is_learned_but_not_tested(run_stage: Main) -> None:
    metrics = run_stage(RECORD, RECORD, disclaimer="Ask a doctor.")
    train, test = (read_tokens(TOKENS / f"{name}.arrow").to_pylist() for name in ("train", "test"))
    assert len(train[0]["input_ids"]) == len(test[0]["input_ids"]) + len(" Ask a doctor.")
    assert train[0]["prompt_length"] == test[0]["prompt_length"]
    assert metrics["test.records"] == 2
    assert metrics["test.supervised_tokens"] == 2 * (len("A joint disease.") + 1)
    assert json.loads(PROMPT_FORMAT.read_text())["disclaimer"] == "Ask a doctor."


@pytest.mark.slow
def test_threads_change_no_byte_and_batches_no_row(
    run_stage: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [RECORD | {"id": f"a:{n}", "question": f"What is {n}?" * 2} for n in range(99)]
    path = TOKENS / "train.arrow"
    monkeypatch.setattr(token_files, "BATCH", 40)
    found = set()
    for parallel in ("false", "true"):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
        metrics = run_stage(*records)
        found.add(path.read_bytes())
    assert len(found) == 1
    in_three = read_tokens(path)
    assert [len(batch) for batch in in_three.to_batches()] == [40, 40, 19]
    monkeypatch.setattr(token_files, "BATCH", 1000)
    assert run_stage(*records) == metrics
    assert read_tokens(path).combine_chunks() == in_three.combine_chunks()


def test_texts_that_another_library_wrote_as_large_strings_are_read(tmp_path: Path) -> None:
    large = pa.schema({name: pa.large_string() for name in RECORD})
    write_table(tmp_path / "a.parquet", pa.Table.from_pylist([RECORD], large))
    (found,) = read_batches(tmp_path / "a.parquet")
    assert found.schema == TEXTS and found["id"].to_pylist() == ["a:0"]


def said(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant") * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


@pytest.mark.slow
def test_conversations_are_counted_by_records_rows_and_turns(run_stage: Main) -> None:
    talk = RECORD | {"id": "a:3", "history": said("My toe hurts.", "Since when?")}
    long = RECORD | {"id": "a:4", "question": "What is gout? " * 5}
    long |= {"history": said("My toe hurts. " * 10, "Since when? " * 10)}
    metrics = run_stage(talk, long, RECORD | {"history": None})
    rows = read_tokens(TOKENS / "train.arrow").to_pylist()
    assert [row["id"] for row in rows] == ["a:3", "a:4", "a:4", "a:0"]
    assert [row["turns_left_out"] for row in rows] == [0, 0, 1, 0]
    assert [len(row["masked_spans"]) for row in rows] == [1, 0, 0, 0]
    assert (metrics["train.records"], metrics["train.rows"]) == (3, 4)
    assert metrics["train.turns_left_out"] == metrics["test.turns_left_out"] == 1
    assert metrics["train.dropped"] == metrics["train.truncated"] == 0
    answers = 3 * len("A joint disease.") + len("Since when?") + len("Since when? " * 10) + 5
    assert metrics["train.supervised_tokens"] == answers
    assert metrics["test.supervised_tokens"] == 3 * len("A joint disease.") + 3
    assert metrics["validation.rows"] == metrics["test.rows"] == 3
    only_last = run_stage(talk, long, turns="last")
    assert only_last["train.rows"] == 2
    assert run_stage(talk, long, truncation="drop")["train.dropped"] == 1


@pytest.mark.slow
def test_only_data_with_conversations_has_their_columns(run_stage: Main) -> None:
    metrics = run_stage(RECORD)
    assert read_tokens(TOKENS / "train.arrow").schema == SCHEMA
    assert not {key for key in metrics if key.endswith(("rows", "turns_left_out"))}
    run_stage(RECORD | {"history": said("Hi", "Hello")})
    assert read_tokens(TOKENS / "train.arrow").schema == CONVERSATIONS


def test_a_history_of_large_strings_is_read(tmp_path: Path) -> None:
    text = pa.large_string()
    message = pa.struct([("role", text), ("content", text)])
    schema = pa.schema([*((name, text) for name in RECORD), ("history", pa.large_list(message))])
    record = RECORD | {"history": said("Hi", "Hello")}
    write_table(tmp_path / "a.parquet", pa.Table.from_pylist([record], schema))
    (found,) = read_batches(tmp_path / "a.parquet")
    assert found.schema == TEXTS.append(HISTORY)
    assert found["history"].to_pylist() == [record["history"]]


def test_a_missing_or_cut_split_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="an incomplete Parquet file: run dvc repro -f split"):
        list(read_batches(tmp_path / "x.parquet"))
    with pytest.raises(InputError, match="missing: run dvc repro split"):
        list(read_batches(tmp_path / "y.parquet"))


def test_a_cut_token_file_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    with token_writer(tmp_path / "w.arrow") as writer:
        writer.write(pa.RecordBatch.from_pylist([], SCHEMA))
    whole = (tmp_path / "w.arrow").read_bytes()
    for cut in (b"", b"ARROW1", whole[: len(whole) // 2]):
        (tmp_path / "x.arrow").write_bytes(cut)
        with pytest.raises(InputError, match="not a whole Arrow file: run dvc repro -f tokenize"):
            read_tokens(tmp_path / "x.arrow")
    with pytest.raises(InputError, match="missing: run dvc repro tokenize"):
        read_tokens(tmp_path / "y.arrow")
