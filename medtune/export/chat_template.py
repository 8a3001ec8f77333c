"""Turns a prompt format into templates for other programs: Jinja, and its pieces for others.

Other programs render a whole conversation as text and then encode it. The templates make that text
what the training built piece by piece, with the system prompt, the date and the BOS token in it.
"""

import json
import re
from dataclasses import dataclass
from itertools import takewhile

from medtune.modeling.prompts import FIXED_DATE, QUESTION_ANSWER_TEMPLATE, Message, PromptEncoder

# The trained prompt ends without a blank, because the answer's first token brings it.
BLANK_BEFORE_ANSWER = (
    ("\nAnswer: '", "\nAnswer:'"),
    ("{% else %}{{ ", "{% else %}{{ ' ' + "),
)
# The tokenizer puts a BOS before a text but not before a rendered conversation, and SentencePiece a
# blank after it.
STARTS = ("", "{{- bos_token }}", "{{- bos_token ~ ' ' }}")
SLOT = "\ue000"  # stands for a content
TRIED = ("What is gout?", "Is a fever of 38.5 °C dangerous?", "How does Crohn's disease present?")


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


def portable_template(encoder: PromptEncoder) -> str:
    """Returns a Jinja template that renders, without further arguments, what was trained."""
    template, system = encoder.template, encoder.format.system_prompt
    if template == QUESTION_ANSWER_TEMPLATE:
        for old, new in BLANK_BEFORE_ANSWER:
            template = template.replace(old, new)
    head = ""
    if "date_string" in template:
        head += f"{{%- set date_string = {json.dumps(FIXED_DATE)} %}}"
    if system:
        message = f"{{'role': 'system', 'content': {json.dumps(system, ensure_ascii=False)}}}"
        head += (
            "{%- if messages[0]['role'] != 'system' %}"
            f"{{%- set messages = [{message}] + messages %}}"
            "{%- endif %}"
        )
    candidates = [f"{head}{start}{template}" for start in STARTS]
    exact = (each for each in candidates if not differing_prompts(encoder, each))
    return next(exact, candidates[0])


def differing_prompts(encoder: PromptEncoder, template: str) -> list[str]:
    """Returns the questions of TRIED whose ids the template alone does not reproduce."""
    return [
        question
        for question in TRIED
        if encoder.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            chat_template=template,
            add_generation_prompt=True,
            return_dict=False,
        )
        != encoder.question_ids(question)
    ]


def pieces(encoder: PromptEncoder, template: str) -> Pieces:
    """Returns the text that the template puts around each content."""
    turns = [_slot("user"), _slot("assistant"), _slot("user")]
    has_system = bool(encoder.format.system_prompt)
    asked = [_slot("system"), *turns] if has_system else turns
    texts = _rendered(encoder, template, asked).split(SLOT)
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


def _slot(role: str) -> Message:
    return {"role": role, "content": SLOT}


def _rendered(encoder: PromptEncoder, template: str, messages: list[Message]) -> str:
    return encoder.tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=True
    )
