from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtune.export.template_pieces import pieces
from medtune.modeling.portable_template import portable_template
from medtune.modeling.prompts import PromptEncoder, PromptFormat
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
