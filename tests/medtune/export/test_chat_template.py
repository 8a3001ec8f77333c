from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtune.export.chat_template import differing_prompts, pieces, portable_template
from medtune.modeling.prompts import FIXED_DATE, PromptEncoder, PromptFormat
from tests.chat_tokenizers import llama32, smollm2, tinyllama

FAMILIES = (smollm2, tinyllama, llama32)
TURNS = [
    {"role": "user", "content": "What is gout?"},
    {"role": "assistant", "content": "A joint disease."},
    {"role": "user", "content": "How is it inherited?"},
]
Family = Callable[[Path], Any]


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return request.param(tmp_path / "tokenizer")


@pytest.mark.parametrize("system", ['Be brief: “yes” or "no".\nThen stop.', None])
@pytest.mark.parametrize("style", ["chat", "question_answer"])
@pytest.mark.parametrize("turns", [1, 3])
def test_the_template_alone_renders_what_was_trained(
    style: str, system: str | None, turns: int, family: Any
) -> None:
    encoder = PromptEncoder(family, PromptFormat(style, system))
    template = portable_template(encoder)
    made = family.apply_chat_template(
        TURNS[:turns], chat_template=template, add_generation_prompt=True
    )
    assert made["input_ids"] == encoder.prompt_ids(TURNS[:turns])
    assert differing_prompts(encoder, template) == []


def test_a_system_prompt_of_the_conversation_takes_the_place_of_the_trained_one(
    family: Any,
) -> None:
    encoder = PromptEncoder(family, PromptFormat("chat", "Be brief."))
    messages = [{"role": "system", "content": "Be long."}, *TURNS]
    text = family.apply_chat_template(
        messages, chat_template=portable_template(encoder), tokenize=False
    )
    assert "Be long." in text and "Be brief." not in text


def test_the_date_stays_that_of_the_training(tmp_path: Path) -> None:
    encoder = PromptEncoder(llama32(tmp_path / "tokenizer"), PromptFormat("chat", None))
    text = encoder.tokenizer.apply_chat_template(
        TURNS, chat_template=portable_template(encoder), tokenize=False
    )
    assert f"Today Date: {FIXED_DATE}" in text


def test_a_template_that_makes_other_prompts_is_noticed(family: Any) -> None:
    encoder = PromptEncoder(family, PromptFormat("chat", "Be brief."))
    assert "What is gout?" in differing_prompts(encoder, encoder.template)


@pytest.mark.parametrize("system", ["Be brief.", None])
def test_the_pieces_around_the_contents_make_the_conversation(
    system: str | None, family: Any
) -> None:
    encoder = PromptEncoder(family, PromptFormat("chat", system))
    template = portable_template(encoder)
    around = pieces(encoder, template)
    assert (around.system is None) == (system is None)
    text = system.join(around.system) if system and around.system else around.opening
    for message in TURNS:
        pair = around.question if message["role"] == "user" else around.answer
        text += message["content"].join(pair)
    assert text + around.ending == family.apply_chat_template(
        TURNS, chat_template=template, tokenize=False, add_generation_prompt=True
    )


def test_the_end_of_a_turn_belongs_to_the_answer(tmp_path: Path) -> None:
    """So that a conversation may begin with a question, without the system block before it."""
    encoder = PromptEncoder(smollm2(tmp_path / "tokenizer"), PromptFormat("chat", "Be brief."))
    around = pieces(encoder, portable_template(encoder))
    assert around.question == ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
    assert around.answer == ("", "<|im_end|>\n")
