import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.errors import InputError
from medtune.files import write_table
from medtune.params import Tokenize, load_params
from medtune.prompts import PromptEncoder, PromptFormat
from medtune.tokens import TOKENS, read_tokens
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
PARAMS: Tokenize = load_params("tokenize")


def row(encoder: PromptEncoder, disclaimer: str | None = None, **changed: Any) -> dict[str, Any]:
    return stage.token_row(RECORD, encoder, PARAMS.model_copy(update=changed), disclaimer)


@pytest.fixture
def encoder(tokenizer: Any) -> PromptEncoder:
    return PromptEncoder(tokenizer, PromptFormat("chat", None))


def test_the_loss_covers_the_answer_and_its_end_of_turn_token(encoder: PromptEncoder) -> None:
    result = row(encoder)
    prompt, supervised = (
        result["input_ids"][: result["loss_start"]],
        result["input_ids"][result["loss_start"] :],
    )
    assert prompt == encoder.question_ids("What is gout?")
    assert supervised == [*encoder.answer_ids("A joint disease."), encoder.end_id]
    assert not result["truncated"]


def test_the_loss_can_cover_all_tokens(encoder: PromptEncoder) -> None:
    result = row(encoder, loss_on="all")
    assert result["loss_start"] == 1
    assert result["prompt_length"] == len(encoder.question_ids("What is gout?"))


def test_a_long_answer_is_cut_and_keeps_its_end(encoder: PromptEncoder) -> None:
    limit = len(encoder.question_ids("What is gout?")) + 5
    result = row(encoder, max_length_tokens=limit)
    assert len(result["input_ids"]) == limit
    assert result["input_ids"][-5:] == [*encoder.answer_ids("A jo"), encoder.end_id]
    assert result["truncated"]


def test_a_prompt_without_room_for_an_answer_is_an_error(encoder: PromptEncoder) -> None:
    rows = [row(encoder), row(encoder, max_length_tokens=20)]
    longest = len(encoder.question_ids("What is gout?")) + 2
    message = rf"max_length_tokens is 20, .* in 2 records, a:0 the first: raise it to {longest} or"
    with pytest.raises(InputError, match=message):
        stage.check_prompts(rows, 20)
    stage.check_prompts(rows, longest)


def test_the_disclaimer_is_learned_but_not_tested(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = Path("params.yaml").read_text()
    params = params.replace("disclaimer: null", "disclaimer: Ask a doctor.")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(
        params.replace("max_length_tokens: 192", "max_length_tokens: 400")
    )
    Path("models").mkdir()
    Path("models/base").symlink_to(base_folder)
    for split in stage.SPLITS:
        write_table(stage.SPLIT / f"{split}.parquet", pa.Table.from_pylist([RECORD, RECORD]))
    stage.main()
    train, test = (read_tokens(TOKENS / f"{name}.arrow").to_pylist() for name in ("train", "test"))
    assert len(train[0]["input_ids"]) == len(test[0]["input_ids"]) + len(" Ask a doctor.")
    assert train[0]["prompt_length"] == test[0]["prompt_length"]
    metrics = json.loads(Path("metrics/tokenize.json").read_text())
    assert metrics["test.records"] == 2
    assert metrics["test.supervised_tokens"] == 2 * (len("A joint disease.") + 1)
    assert json.loads((TOKENS / "prompt.json").read_text())["disclaimer"] == "Ask a doctor."


def test_a_cut_token_file_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "x.arrow").write_bytes(b"ARROW1")
    with pytest.raises(InputError, match="not a whole Arrow file: run dvc repro -f tokenize"):
        read_tokens(tmp_path / "x.arrow")
    with pytest.raises(InputError, match="missing: run dvc repro tokenize"):
        read_tokens(tmp_path / "y.arrow")
