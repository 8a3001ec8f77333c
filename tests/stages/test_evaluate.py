import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, SCHEMA, TOKENS, token_writer
from medtune.runtime.errors import InputError
from medtune.scoring.out_of_domain import QUESTIONS
from medtune.scoring.scores import SCORES
from stages import evaluate

PARAMS = Path("params.yaml").resolve()


def token_row(encoder: PromptEncoder, number: int, answer: str) -> dict[str, Any]:
    question = f"What is {number}?"
    prompt = encoder.question_ids(question)
    return {
        **{name: f"{name} {number}" for name in ("id", "kind", "topic", "group")},
        "question": question,
        "answer": answer,
        "truncated": False,
        "input_ids": [*prompt, *encoder.answer_ids(answer), encoder.end_id],
        "prompt_length": len(prompt),
        "loss_start": len(prompt),
    }


@pytest.fixture
def project(
    base_folder: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    text = PARAMS.read_text(encoding="utf-8").replace("max_new_tokens: 96", "max_new_tokens: 4")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/base").symlink_to(base_folder)
    Path("launch").symlink_to(PARAMS.parent / "launch")
    for name in ("medical", "general"):
        Path("data/choices", name).mkdir(parents=True)
    choice = {"question": "Which is an organ?", "options": ["liver", "chair"], "answer": "liver"}
    Path("data/choices/medical/one.jsonl").write_text(json.dumps(choice), encoding="utf-8")
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    rows = [token_row(encoder, n, answer) for n, answer in enumerate(["A joint.", "5 µg a day."])]
    with token_writer(TOKENS / "test.arrow") as writer:
        writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    encoder.format.save(PROMPT_FORMAT)
    return tmp_path


def test_metrics_hold_every_score_and_how_it_is_computed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "base"])
    assert evaluate.main() > 0
    metrics = json.loads(Path("metrics/evaluate_base.json").read_text(encoding="utf-8"))
    rows = pq.read_table("data/predictions/base.parquet").to_pylist()
    assert {score.name for score in SCORES} < set(metrics)
    assert metrics["n"] == len(rows) == 2
    assert [row["reference_words"] for row in rows] == [2, 4]
    assert rows[1]["non_ascii"] and 1 <= metrics["non_ascii_rows"] <= 2
    assert "tok:13a" in metrics["bleu_signature"]
    assert metrics["choices.medical.n"] == 1
    general = pq.read_table("data/predictions/base_general.parquet")
    assert general["question"].to_pylist() == list(QUESTIONS)


def test_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "both"])
    with pytest.raises(InputError, match="takes one of base, finetuned, got 'both'"):
        evaluate.main()
