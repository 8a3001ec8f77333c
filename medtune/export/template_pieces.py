"""Takes a template apart into its pieces, for programs that do not read Jinja."""

import re
from dataclasses import dataclass
from itertools import takewhile

from medtune.modeling.prompts import ChatMessage, PromptEncoder

SLOT = "\ue000"  # stands for a content


@dataclass(frozen=True)
class Pieces:
    """The text of a conversation around its contents, each as (before, after).

    `opening` begins a conversation without a system prompt, and `system` is None if the training
    had none. `ending` comes after the last question, where the answer begins.
    """

    opening: str
    system: tuple[str, str] | None
    question: tuple[str, str]
    answer: tuple[str, str]
    ending: str


def pieces(encoder: PromptEncoder, template: str) -> Pieces:
    """Returns the text that the template puts around each content."""
    turns = [_slot("user"), _slot("assistant"), _slot("user")]
    has_system = bool(encoder.format.system_prompt)
    asked = [_slot("system"), *turns] if has_system else turns
    texts = rendered(encoder, template, asked).split(SLOT)
    begin, (opening, middle, between, last) = texts[:-4], texts[-4:]
    before_question = _question_opening(encoder, opening, between)
    after_question = _common_start(middle, last)
    opening = opening.removesuffix(before_question)
    return Pieces(
        opening="" if has_system else opening,
        system=(begin[0], opening) if has_system else None,
        question=(before_question, after_question),
        answer=(middle.removeprefix(after_question), between.removesuffix(before_question)),
        ending=last.removeprefix(after_question),
    )


def _question_opening(encoder: PromptEncoder, first: str, between: str) -> str:
    """Returns what both the first question and one after an answer (`between`) begin with."""
    end = re.escape(encoder.tokenizer.convert_ids_to_tokens(encoder.end_id))
    opening = re.sub(rf"^.*?{end}\s*", "", between, count=1, flags=re.DOTALL)
    if first.endswith(opening):
        return opening
    return _common_start(first[::-1], between[::-1])[::-1]


def _common_start(one: str, other: str) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(character for character, _ in pairs)


def _slot(role: str) -> ChatMessage:
    return {"role": role, "content": SLOT}


def rendered(encoder: PromptEncoder, template: str, messages: list[ChatMessage]) -> str:
    return encoder.tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=True
    )
