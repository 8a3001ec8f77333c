"""Turns a prompt format into a Jinja template with which other programs make the trained prompts.

Other programs render a whole conversation as text and then encode it. The template makes that text
what the training built piece by piece, with the BOS token in it.
"""

import json
from collections.abc import Iterator
from itertools import product

from medtune.modeling.prompts import QUESTION_ANSWER_TEMPLATE, ChatMessage, PromptEncoder
from medtune.runtime.errors import InputError

# The trained prompt ends without a blank, because the answer's first token brings it.
BLANK_BEFORE_ANSWER = (
    ("\nAnswer: '", "\nAnswer:'"),
    ("{% else %}{{ ", "{% else %}{{ ' ' + "),
)
WITHOUT_LAST_BLANK = (
    "{%- set conversation %}",
    "{%- endset %}{{ conversation[:-1] if add_generation_prompt and conversation[-1:] == ' ' "
    "else conversation }}",
)
# The tokenizer puts a BOS before a text but not before a rendered conversation, and SentencePiece a
# blank after it.
STARTS = ("", "{{- bos_token }}", "{{- bos_token ~ ' ' }}")
QUESTIONS = (
    "What is gout?",
    "Is a fever of 38.5 °C dangerous?",
    "How does Crohn's disease present?",
)


def portable_template(encoder: PromptEncoder, with_system_prompt: bool = True) -> str:
    """Returns a Jinja template that renders, without further arguments, what was trained.

    It adds the system prompt to conversations that bring none, if `with_system_prompt`.
    """
    head, system = "", encoder.format.system_prompt
    if system and with_system_prompt:
        message = f"{{'role': 'system', 'content': {json.dumps(system, ensure_ascii=False)}}}"
        head = (
            "{%- if messages[0]['role'] != 'system' %}"
            f"{{%- set messages = [{message}] + messages %}}"
            "{%- endif %}"
        )
    candidates = [f"{head}{start}{body}" for body, start in product(_bodies(encoder), STARTS)]
    exact = (c for c in candidates if not differing_prompts(encoder, c, with_system_prompt))
    return next(exact, candidates[0])


def differing_prompts(
    encoder: PromptEncoder, template: str, with_system_prompt: bool = True
) -> list[str]:
    """Returns the last questions of conversations whose ids the template does not reproduce.

    The conversations bring the system prompt of the training unless the template has it.
    """
    system = encoder.format.system_prompt
    first = [{"role": "system", "content": system}] if system and not with_system_prompt else []
    return [
        messages[-1]["content"]
        for messages in _conversations(encoder)
        if encoder.tokenizer.apply_chat_template(
            [*first, *messages],
            chat_template=template,
            add_generation_prompt=True,
            return_dict=False,
        )
        != encoder.prompt_ids(messages)
    ]


def _bodies(encoder: PromptEncoder) -> list[str]:
    template = encoder.template
    if template != QUESTION_ANSWER_TEMPLATE:
        begin, end = WITHOUT_LAST_BLANK
        text = template.removesuffix("\n")  # Jinja drops one line break, but only at the very end
        return [template, f"{begin}{text}{end}"]
    for old, new in BLANK_BEFORE_ANSWER:
        template = template.replace(old, new)
    return [template]


def _conversations(encoder: PromptEncoder) -> Iterator[list[ChatMessage]]:
    """Yields each question alone, and the last one after another turn if there may be one."""
    for question in QUESTIONS:
        yield [{"role": "user", "content": question}]
    first, _, last = QUESTIONS
    turns = (("user", first), ("assistant", "A joint disease."), ("user", last))
    conversation = [{"role": role, "content": text} for role, text in turns]
    try:
        encoder.prompt_ids(conversation)
    except InputError:
        return
    yield conversation
