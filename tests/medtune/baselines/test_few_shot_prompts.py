from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.baselines.few_shot_prompts import FewShotPrompts
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError

TRAINING = pa.table(
    {
        "question": ["What is gout?", "What is a gouty joint?", "What is asthma?"],
        "answer": ["A disease of joints.", "A swollen joint.", "A disease of airways."],
    }
)
QUESTION = "What is a gouty toe?"


def encoder_for(tokenizer: Any, style: str) -> PromptEncoder:
    return PromptEncoder(tokenizer, PromptFormat(style, "Be brief."))


@pytest.mark.parametrize("style", ["chat", "question_answer"])
def test_the_nearest_cards_come_before_the_question_best_last(tokenizer: Any, style: str) -> None:
    prompts = FewShotPrompts(encoder_for(tokenizer, style), TRAINING, 2)
    text = tokenizer.decode(prompts.prompt("Is a gouty joint a disease of joints?", 1_000))
    places = [text.index(part) for part in ("Be brief.", "What is gout?", "What is a gouty joint?")]
    assert places == sorted(places)
    assert text.index("A swollen joint.") < text.index("Is a gouty joint a")
    assert "asthma" not in text


def test_the_farthest_cards_are_left_out_where_the_prompt_is_too_long(tokenizer: Any) -> None:
    encoder = encoder_for(tokenizer, "chat")
    prompts = FewShotPrompts(encoder, TRAINING, 2)
    both = prompts.prompt(QUESTION, 1_000)
    one = prompts.prompt(QUESTION, len(both) - 1)
    assert len(encoder.question_ids(QUESTION)) < len(one) < len(both)
    assert "A swollen joint." in tokenizer.decode(one)
    assert prompts.prompt(QUESTION, 1) == encoder.question_ids(QUESTION)


def test_a_row_keeps_its_answer_behind_the_longer_prompt(tokenizer: Any) -> None:
    encoder = encoder_for(tokenizer, "chat")
    question, answer = encoder.question_ids(QUESTION), encoder.answer_ids("A toe.")
    row = {"question": QUESTION, "input_ids": question + answer, "prompt_length": len(question)}
    prompts = FewShotPrompts(encoder, TRAINING, 2)
    (longer,) = prompts.rows([row], 1_000, max_new_tokens=4)
    assert longer["input_ids"] == prompts.prompt(QUESTION, 1_000) + answer
    assert longer["prompt_length"] == len(longer["input_ids"]) - len(answer)
    room = len(longer["input_ids"]) - len(answer) + 50
    (same,) = prompts.rows([row], room, max_new_tokens=50)
    assert same == longer
    (shorter,) = prompts.rows([row], room, max_new_tokens=51)
    assert shorter["prompt_length"] < longer["prompt_length"]


def test_a_table_holds_the_longer_rows_in_their_order(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [QUESTION, "What is asthma?", "What is gout?"]
    rows = [{"question": q, "input_ids": [1, 2], "prompt_length": 1} for q in questions]
    ids = pa.field("input_ids", pa.list_(pa.int32()))
    schema = pa.schema([("question", pa.string()), ids, ("prompt_length", pa.int32())])
    prompts = FewShotPrompts(encoder_for(tokenizer, "chat"), TRAINING, 1)
    monkeypatch.setattr("medtune.baselines.few_shot_prompts.BATCH", 2)
    table = prompts.table(pa.Table.from_pylist(rows, schema), 1_000, max_new_tokens=4)
    longer = prompts.rows(rows, 1_000, max_new_tokens=4)
    kept = [{name: row[name] for name in ("input_ids", "prompt_length")} for row in longer]
    assert table.to_pylist() == kept


def test_cards_stand_before_the_whole_conversation_but_behind_its_system_message(
    tokenizer: Any,
) -> None:
    encoder = encoder_for(tokenizer, "chat")
    said = [("system", "Be kind."), ("user", "My toe hurts."), ("assistant", "Since when?")]
    history = [{"role": role, "content": content} for role, content in said]
    asked = {"role": "user", "content": QUESTION}
    prompts = FewShotPrompts(encoder, TRAINING, 1)
    row = {"question": QUESTION, "history": history, "input_ids": [1, 2], "prompt_length": 1}
    (longer,) = prompts.rows([row], 1_000, max_new_tokens=4)
    card = [
        {"role": "user", "content": "What is a gouty joint?"},
        {"role": "assistant", "content": "A swollen joint."},
    ]
    messages = [history[0], *card, *history[1:], asked]
    assert longer["input_ids"] == [*encoder.prompt_ids(messages), 2]
    (plain,) = prompts.rows([row], context=10, max_new_tokens=4)
    assert plain["input_ids"] == [*encoder.prompt_ids([*history, asked]), 2]


def test_a_template_without_earlier_turns_is_refused_with_the_remedy(base_folder: Path) -> None:
    from medtune.modeling.loading import load_tokenizer

    tokenizer = load_tokenizer(base_folder)
    tokenizer.chat_template = (
        "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}"
        "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    )
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    with pytest.raises(InputError, match=r"no earlier turns: set evaluate.few_shot to 0"):
        FewShotPrompts(encoder, TRAINING, 2).prompt(QUESTION, 1_000)
