import copy
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medtune.generation import answering
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, SCHEMA, TOKENS, token_writer
from medtune.runtime.errors import InputError
from medtune.scoring import choice_answers
from medtune.scoring.out_of_domain_questions import QUESTIONS
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
    for split, own in (("test", rows), ("validation", rows[:1])):
        with token_writer(TOKENS / f"{split}.arrow") as writer:
            writer.write_table(pa.Table.from_pylist(own, SCHEMA))
    Path("data/split").mkdir()
    cards = {"question": ["What is 2?", "What is 7?"], "answer": ["A knee.", "An eye."]}
    pq.write_table(pa.table(cards), "data/split/train.parquet")
    encoder.format.save(PROMPT_FORMAT)
    return tmp_path


@pytest.mark.slow
def test_metrics_hold_every_score_and_how_it_is_computed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "base"])
    assert evaluate.main() > 0
    metrics = json.loads(Path("metrics/evaluate_base.json").read_text(encoding="utf-8"))
    rows = pq.read_table("data/predictions/base.parquet").to_pylist()
    elsewhere = {"content_f1", "meaning", "facts", "thought_rate"}
    assert {score.name for score in SCORES} - elsewhere < set(metrics)
    assert "thought_rate" not in metrics and "thought" not in rows[0]
    assert metrics["n"] == len(rows) == 2
    assert [row["reference_words"] for row in rows] == [2, 4]
    assert rows[1]["non_ascii"] and 1 <= metrics["non_ascii_rows"] <= 2
    assert "tok:13a" in metrics["bleu_signature"]
    assert metrics["choices.medical.n"] == 1
    validation = pq.read_table("data/predictions/base_validation.parquet").to_pylist()
    assert [(row["id"], row["nll"]) for row in validation] == [
        (rows[0]["id"], pytest.approx(rows[0]["nll"], rel=1e-4))
    ]
    general = pq.read_table("data/predictions/base_general.parquet")
    assert general["question"].to_pylist() == list(QUESTIONS)


@pytest.mark.slow
def test_thoughts_before_answers_are_counted_and_not_scored(
    project: Path,
    tokenizer: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    thinking = copy.deepcopy(tokenizer)
    thinking.chat_template += "{# <think> </think> #}"
    texts = ["<think>\nA joint?\n</think>\n\nA joint.", "<think>\n5 µg or", "A joint."]
    answers = [answering.Answer(text, 4, True) for text in [*texts, *texts[:1] * len(QUESTIONS)]]
    choices = choice_answers.SCHEMA.empty_table()
    monkeypatch.setattr(evaluate, "load_tokenizer", lambda: thinking)
    monkeypatch.setattr(evaluate, "ask", lambda *_: ([(1.0, 2)] * 3, choices, answers))
    monkeypatch.setattr(sys, "argv", ["evaluate", "base"])
    with caplog.at_level(logging.WARNING):
        evaluate.main()
    rows = pq.read_table("data/predictions/base.parquet").to_pylist()
    assert [(row["prediction"], row["thought"]) for row in rows] == [("A joint.", True), ("", True)]
    validation = pq.read_table("data/predictions/base_validation.parquet").to_pylist()
    assert [(row["prediction"], row["thought"]) for row in validation] == [("A joint.", False)]
    general = pq.read_table("data/predictions/base_general.parquet")
    assert set(general["prediction"].to_pylist()) == {"A joint."}
    metrics = json.loads(Path("metrics/evaluate_base.json").read_text(encoding="utf-8"))
    assert (metrics["thought_rate"], metrics["rougeL"]) == (1, 0.5)
    assert "2 of 3 answers began with a thought, which is not scored; 1 have noth" in caplog.text


def rows_of(name: str) -> int:
    return pq.read_table(f"data/predictions/{name}.parquet").num_rows


@pytest.mark.slow
def test_a_model_that_is_shown_cards_answers_only_the_cards_questions(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    answer_all = answering.answer_all

    def recorded(model: Any, encoder: Any, prompts: Any, *rest: Any) -> Any:
        asked.extend(encoder.tokenizer.decode(ids) for ids in prompts)
        return answer_all(model, encoder, prompts, *rest)

    monkeypatch.setattr(answering, "answer_all", recorded)
    monkeypatch.setattr(sys, "argv", ["evaluate", "few_shot"])
    assert evaluate.main() > 0
    assert len(asked) == 3
    assert all("A knee." in prompt and "An eye." in prompt for prompt in asked)
    assert [rows_of(f"few_shot{end}") for end in evaluate.SCHEMAS] == [2, 1, 0, 0]
    metrics = json.loads(Path("metrics/evaluate_few_shot.json").read_text(encoding="utf-8"))
    assert metrics["n"] == 2 and metrics["perplexity"] > 1


def test_a_model_that_is_switched_off_writes_empty_tables_without_a_model(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "load_base", pytest.fail)
    monkeypatch.setattr(sys, "argv", ["evaluate", "finetuned_few_shot"])
    assert evaluate.main() == 0
    for end, schema in evaluate.SCHEMAS.items():
        table = pq.read_table(f"data/predictions/finetuned_few_shot{end}.parquet")
        assert table.num_rows == 0 and table.schema.equals(schema)
    assert json.loads(Path("metrics/evaluate_finetuned_few_shot.json").read_text()) == {"n": 0}


def tables() -> list[list[dict[str, Any]]]:
    paths = [Path(f"data/predictions/base{end}.parquet") for end in evaluate.SCHEMAS]
    return [pq.read_table(path).to_pylist() for path in paths]


@pytest.mark.slow
def test_another_engine_gives_the_same_answers_likelihoods_and_choices(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "base"])
    evaluate.main()
    expected = tables()
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("engine: medtune", "engine: openvino"), "utf-8")
    monkeypatch.setattr(answering, "answer_all", pytest.fail)
    evaluate.main()
    losses = [[row.pop("nll", 0.0) for row in table] for table in tables()]
    assert losses == [
        [pytest.approx(row.pop("nll", 0.0), rel=1e-4) for row in table] for table in expected
    ]
    got = tables()
    for table in got:
        for row in table:
            row.pop("nll", None)
    assert got == expected


def test_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "both"])
    with pytest.raises(InputError, match=r"takes one of base, few_shot, finetuned, .*, got 'both'"):
        evaluate.main()
