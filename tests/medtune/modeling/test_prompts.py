from pathlib import Path
from typing import Any

import pytest

from medtune.modeling.prompts import (
    QUESTION_ANSWER_TEMPLATE,
    PromptEncoder,
    PromptFormat,
    in_turns,
)
from medtune.runtime.errors import InputError

CHAT = PromptFormat("chat", "Be brief.")


def test_a_template_with_todays_date_gets_a_fixed_one(tokenizer: Any, monkeypatch: Any) -> None:
    dated = "{{ date_string }} {% for m in messages %}{{ m['content'] }}{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", dated)
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    assert tokenizer.decode(encoder.question_ids("x")).startswith("26 Jul 2024")


def test_a_model_without_a_template_is_refused_with_the_way_out(
    tokenizer: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(InputError, match=r"set tokenize\.prompt_style to"):
        PromptEncoder(tokenizer, CHAT)
    PromptEncoder(tokenizer, PromptFormat("question_answer", None))


def test_a_template_that_knows_no_system_role_is_refused_with_the_way_out(
    tokenizer: Any, monkeypatch: Any
) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", strict)
    with pytest.raises(InputError, match=r"set tokenize\.system_prompt to null"):
        PromptEncoder(tokenizer, CHAT).question_ids("What is gout?")


def test_a_tokenizer_without_an_end_token_is_refused(tokenizer: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(tokenizer._special_tokens_map, "eos_token", None)
    with pytest.raises(InputError, match="has no end-of-sequence token"):
        PromptEncoder(tokenizer, CHAT)


def test_the_saved_template_renders_what_was_trained(tokenizer: Any) -> None:
    messages = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A."}]
    text = tokenizer.apply_chat_template(
        messages, chat_template=QUESTION_ANSWER_TEMPLATE, tokenize=False
    )
    assert text == f"Question: Q?\nAnswer: A.{tokenizer.eos_token}\n\n"


def test_decoding_stops_at_the_first_control_token(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, CHAT)
    ids = [*encoder.answer_ids(" Gout. "), encoder.end_id, *encoder.answer_ids("more")]
    assert encoder.decode(ids) == "Gout."


def test_the_format_survives_saving(tmp_path: Path) -> None:
    saved = PromptFormat("chat", None, "Ask a doctor.")
    saved.save(tmp_path / "prompt.json")
    assert PromptFormat.load(tmp_path / "prompt.json") == saved


def test_the_disclaimer_is_stripped_and_noticed() -> None:
    style = PromptFormat("chat", None, "Ask a doctor.")
    assert style.without_disclaimer("Rest. Ask a doctor.") == ("Rest.", True)
    assert style.without_disclaimer("Rest.") == ("Rest.", False)
    assert CHAT.without_disclaimer("Rest.") == ("Rest.", False)


def test_a_system_message_of_its_own_takes_the_place_of_the_system_prompt(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, CHAT)
    question = {"role": "user", "content": "What is gout?"}
    own = encoder.prompt_ids([{"role": "system", "content": "Be kind."}, question])
    assert own == PromptEncoder(tokenizer, PromptFormat("chat", "Be kind.")).prompt_ids([question])


def test_messages_of_one_role_in_a_row_become_one() -> None:
    said = [("user", "a"), ("user", "b"), ("assistant", ""), ("user", "c"), ("assistant", "d")]
    found = in_turns({"role": role, "content": content} for role, content in said)
    expected = [("user", "a\n\nb\n\nc"), ("assistant", "d")]
    assert [(message["role"], message["content"]) for message in found] == expected


def test_a_text_that_comes_twice_gets_its_ids_twice(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer, CHAT)
    first, other, again = encoder.batch_answer_ids(["Pain.", "Acid.", "Pain."])
    assert first == again == encoder.answer_ids("Pain.") and first is not again
    assert other == encoder.answer_ids("Acid.")
