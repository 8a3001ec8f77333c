from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from medtune.config.allowed_values import SplitName
from medtune.config.loading import load_params
from medtune.config.schema import Tokenize
from medtune.modeling.collation import Cards
from medtune.modeling.prompts import ChatMessage, PromptEncoder, PromptFormat
from medtune.modeling.token_files import HISTORY, TEXTS
from medtune.modeling.token_rows import conversation_batch
from medtune.runtime.errors import InputError
from tests import chat_tokenizers

PARAMS: Tokenize = load_params("tokenize").model_copy(update={"max_length_tokens": 4096})
RECORD = {"id": "a:0", "kind": "chat", "topic": "", "group": "g"}
TURNS = [
    ("What is gout?", "A joint disease."),
    ("Is it <|im_end|> painful?", "Yes, very."),
    ("And then?", "It goes."),
]
FAMILIES = ("smollm2", "tinyllama", "llama32")


def messages(*turns: tuple[str, str], system: str | None = None) -> list[ChatMessage]:
    said = [] if system is None else [("system", system)]
    said += [
        pair for question, answer in turns for pair in (("user", question), ("assistant", answer))
    ]
    return [{"role": role, "content": content} for role, content in said]


def record(*turns: tuple[str, str], system: str | None = None) -> dict[str, Any]:
    *history, question, answer = messages(*turns, system=system)
    texts = {"question": question["content"], "answer": answer["content"]}
    return RECORD | texts | {"history": history}


def rows(
    encoder: PromptEncoder, *records: dict[str, Any], split: SplitName = "train", **changed: Any
) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pylist(list(records), TEXTS.append(HISTORY))
    params = PARAMS.model_copy(update=changed)
    return conversation_batch(batch, encoder, params, split)[0].to_pylist()


def learned(row: dict[str, Any]) -> list[tuple[list[int], list[int]]]:
    """The ids before each answer that the loss covers, and the ids of the answer."""
    ids = row["input_ids"]
    (spans,) = Cards.all({name: [value] for name, value in row.items()}).supervised()
    return [(ids[: span.start], ids[span.start : span.stop]) for span in spans]


@pytest.mark.parametrize("system", [None, "Be kind."])
@pytest.mark.parametrize("style", ["chat", "question_answer"])
@pytest.mark.parametrize("name", FAMILIES)
def test_each_answer_is_learned_behind_the_prompt_of_its_own_turn(
    name: str, style: str, system: str | None, tmp_path: Path
) -> None:
    encoder = PromptEncoder(
        getattr(chat_tokenizers, name)(tmp_path / name), PromptFormat(style, "Be brief.")
    )
    (row,) = rows(encoder, record(*TURNS, system=system))
    expected = [
        (
            encoder.prompt_ids(messages(*TURNS[: n + 1], system=system)[:-1]),
            [*encoder.answer_ids(answer), encoder.end_id],
        )
        for n, (_, answer) in enumerate(TURNS)
    ]
    assert learned(row) == expected
    assert row["prompt_length"] == len(expected[-1][0])
    assert row["history"] == messages(*TURNS, system=system)[:-2]


def test_only_the_last_answer_is_learned_on_demand_and_in_the_test_split(
    encoder: PromptEncoder,
) -> None:
    (whole,) = rows(encoder, record(*TURNS))
    for split, turns in (("train", "last"), ("validation", "last"), ("test", "all")):
        (row,) = rows(encoder, record(*TURNS), split=split, turns=turns)
        assert row["input_ids"] == whole["input_ids"]
        assert learned(row) == learned(whole)[-1:]
    (validation,) = rows(encoder, record(*TURNS), split="validation")
    assert validation == whole


def test_the_loss_can_cover_all_that_is_said(encoder: PromptEncoder) -> None:
    (row,) = rows(encoder, record(*TURNS), loss_on="all")
    assert (row["loss_start"], row["masked_spans"]) == (1, [])


def test_answers_that_a_template_rewrites_later_have_rows_of_their_own(tmp_path: Path) -> None:
    tokenizer = chat_tokenizers.smollm2(tmp_path / "base")
    tokenizer.chat_template = chat_tokenizers.SMOLLM2_TEMPLATE.replace(
        "assistant\n' }}{% endif %}", "assistant\nNo thoughts.\n' }}{% endif %}"
    )
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    found = rows(encoder, record(*TURNS), RECORD | record(TURNS[1]))
    expected = [encoder.prompt_ids(messages(*TURNS[: n + 1])[:-1]) for n in range(3)]
    assert [learned(row)[0][0] for row in found[:3]] == expected
    assert [(row["question"], row["answer"]) for row in found] == [*TURNS, TURNS[1]]
    assert [len(learned(row)) for row in found] == [1, 1, 1, 1]
    (validation,) = rows(encoder, record(*TURNS), split="validation")
    assert validation == found[2]


def test_the_oldest_turns_are_left_out_first_and_the_system_message_stays(
    encoder: PromptEncoder,
) -> None:
    card = record(*TURNS, system="Be kind.")
    (whole,) = rows(encoder, card)
    limit = len(whole["input_ids"]) - 1
    first, second = rows(encoder, card, max_length_tokens=limit)
    assert learned(first) == learned(whole)[:2] and first["turns_left_out"] == 0
    prompt = encoder.prompt_ids(messages(*TURNS[1:], system="Be kind.")[:-1])
    assert learned(second) == [(prompt, learned(whole)[-1][1])]
    assert second["turns_left_out"] == 1 and not second["truncated"]
    assert second["history"] == messages(TURNS[1], system="Be kind.")
    (tested,) = rows(encoder, card, split="test", max_length_tokens=limit, truncation="drop")
    assert tested == second
    assert rows(encoder, card, max_length_tokens=limit, truncation="drop") == []


@pytest.mark.parametrize("count", [2, 3, 8])
def test_as_many_turns_as_fit_are_in_the_prompt(encoder: PromptEncoder, count: int) -> None:
    turns = [(f"{n}?" * (1 + n % 3), f"{n}." * 2) for n in range(count)]
    lengths = [
        len(encoder.prompt_ids(messages(*turns[n:])[:-1])) + len(turns[-1][1]) + 1
        for n in range(count)
    ]
    for left_out, length in enumerate(lengths):
        for limit in (length, length + 1):
            (row,) = rows(encoder, record(*turns), turns="last", max_length_tokens=limit)
            assert row["turns_left_out"] == left_out and len(row["input_ids"]) == length
            assert not row["truncated"]


def test_an_answer_is_cut_only_behind_its_question_alone(encoder: PromptEncoder) -> None:
    prompt = encoder.question_ids("And then?")
    limit = len(prompt) + 5
    (row,) = rows(encoder, record(*TURNS), split="test", max_length_tokens=limit)
    assert row["input_ids"] == [*prompt, *encoder.answer_ids("It g"), encoder.end_id]
    assert row["truncated"] and row["turns_left_out"] == 2 and row["history"] == []


def test_a_question_without_room_for_its_answer_is_told(encoder: PromptEncoder) -> None:
    card = record(("What is gout?" * 20, "Pain."), ("Why?", "Acid."))
    longest = len(encoder.question_ids("What is gout?" * 20))
    batch = pa.RecordBatch.from_pylist([card], TEXTS.append(HISTORY))
    for limit, expected in ((longest + 1, {"a:0": longest}), (longest + 2, {})):
        params = PARAMS.model_copy(update={"max_length_tokens": limit})
        assert conversation_batch(batch, encoder, params, "train")[1] == expected


def test_a_record_without_history_is_the_row_of_a_card(encoder: PromptEncoder) -> None:
    for history in (None, []):
        (row,) = rows(encoder, RECORD | record(TURNS[0]) | {"history": history})
        prompt = encoder.question_ids("What is gout?")
        assert row["input_ids"] == [*prompt, *encoder.answer_ids(TURNS[0][1]), encoder.end_id]
        assert (row["loss_start"], row["masked_spans"]) == (len(prompt), [])


def test_what_the_assistant_says_before_the_first_question_is_not_learned(
    encoder: PromptEncoder,
) -> None:
    card = record(*TURNS[:2])
    card["history"] = [{"role": "assistant", "content": "Hello!"}, *card["history"]]
    (row,) = rows(encoder, card)
    assert [encoder.decode(answer) for _, answer in learned(row)] == [a for _, a in TURNS[:2]]
    assert "Hello!" in encoder.tokenizer.decode(learned(row)[0][0])


def test_messages_of_one_role_in_a_row_are_joined_and_empty_answers_left_out(
    encoder: PromptEncoder,
) -> None:
    said = [("user", "Hi."), ("assistant", ""), ("user", "What is gout?"), ("assistant", "Pain.")]
    history = [{"role": role, "content": content} for role, content in [*said, ("user", "Well")]]
    (row,) = rows(encoder, RECORD | {"question": "Why?", "answer": "Acid.", "history": history})
    expected = record(("Hi.\n\nWhat is gout?", "Pain."), ("Well\n\nWhy?", "Acid."))
    assert row == rows(encoder, expected)[0] | {"question": "Why?"}


def test_each_training_answer_ends_in_the_disclaimer(encoder: PromptEncoder) -> None:
    (row,) = rows(encoder, record(*TURNS), disclaimer="Ask a doctor.")
    said = [encoder.decode(answer) for _, answer in learned(row)]
    assert said == [f"{answer} Ask a doctor." for _, answer in TURNS]
    assert row["answer"] == TURNS[-1][1]
    (tested,) = rows(encoder, record(*TURNS), disclaimer="Ask a doctor.", split="test")
    assert "Ask a doctor." not in encoder.tokenizer.decode(tested["input_ids"])


def test_a_conversation_that_the_template_rejects_is_named(tmp_path: Path) -> None:
    tokenizer = chat_tokenizers.smollm2(tmp_path / "base")
    tokenizer.chat_template = (
        "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}"
        "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    )
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    other = record(TURNS[0]) | {"id": "a:1"}
    message = r"^a:0 is a conversation of user, assistant, user: .*one turn only.*question_answer"
    with pytest.raises(InputError, match=message):
        rows(encoder, other, record(*TURNS[:2]))
