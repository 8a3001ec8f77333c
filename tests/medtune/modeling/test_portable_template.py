from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtune.modeling.portable_template import differing_prompts, portable_template
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from tests.chat_templates import TURNS
from tests.chat_tokenizers import llama32, smollm2, tinyllama


@pytest.fixture(params=(smollm2, tinyllama, llama32), ids=lambda family: family.__name__)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    make: Callable[[Path], Any] = request.param
    return make(tmp_path / "tokenizer")


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


def test_a_template_that_makes_other_prompts_is_noticed(family: Any) -> None:
    encoder = PromptEncoder(family, PromptFormat("chat", "Be brief."))
    assert "What is gout?" in differing_prompts(encoder, encoder.template)
