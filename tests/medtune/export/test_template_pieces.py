from pathlib import Path

from medtune.export.template_pieces import pieces
from medtune.modeling.portable_template import portable_template
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from tests.chat_tokenizers import smollm2


def test_the_end_of_a_turn_belongs_to_the_answer(tmp_path: Path) -> None:
    """So that a conversation may begin with a question, without the system block before it."""
    encoder = PromptEncoder(smollm2(tmp_path / "tokenizer"), PromptFormat("chat", "Be brief."))
    around = pieces(encoder, portable_template(encoder))
    assert around.question == ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
    assert around.answer == ("", "<|im_end|>\n")
