"""The only place with prompt text: messages become token ids, piece by piece.

The template's own control tokens come from the template; what users or data wrote is encoded with
special-token parsing off, so that `<|im_end|>` in a question is just text.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from medtune.errors import InputError

QUESTION_ANSWER_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Question: ' + message['content'] + '\nAnswer: ' }}"
    "{% else %}{{ message['content'] + eos_token + '\n\n' }}{% endif %}"
    "{% endfor %}"
)
FIXED_DATE = "26 Jul 2024"  # Llama 3's template prints today's; this is the date it falls back to
SLOT = re.compile("( ?)\ue000([0-9]+)\ue001")  # where content goes, and the blank before it

Message = dict[str, str]  # {"role": "user" or "assistant", "content": …}


@dataclass(frozen=True)
class PromptFormat:
    """How a question is put to the model; saved beside the tokens and the adapter."""

    prompt_style: str
    system_prompt: str | None
    disclaimer: str | None = None

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def without_disclaimer(self, answer: str) -> tuple[str, bool]:
        """The answer without the appended disclaimer, and whether it was there."""
        if not self.disclaimer or self.disclaimer not in answer:
            return answer, False
        return answer.replace(self.disclaimer, "").strip(), True

    @classmethod
    def load(cls, path: Path, stage: str = "tokenize") -> "PromptFormat":
        """Reads a saved format; raises InputError with the way to make it again."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise InputError(f"{path} is missing: run dvc repro {stage}") from None


class PromptEncoder:
    """Turns messages into token ids for one tokenizer and one format."""

    def __init__(self, tokenizer: Any, prompt_format: PromptFormat) -> None:
        self.tokenizer = tokenizer
        self.format = prompt_format
        self.template = tokenizer.chat_template
        if prompt_format.prompt_style == "question_answer":
            self.template = QUESTION_ANSWER_TEMPLATE
        if not self.template:
            raise InputError(
                "the model's tokenizer has no chat template: set tokenize.prompt_style to "
                "question_answer, or take an instruction-tuned model"
            )
        if tokenizer.eos_token_id is None:
            raise InputError("the model's tokenizer names no end-of-sequence token: take another")
        added = tokenizer.added_tokens_decoder.items()
        self.special_ids = {token_id for token_id, token in added if token.special}
        self._prepends_blank = tokenizer.tokenize("a")[0].startswith("▁")
        opening = self._render([{"role": "user", "content": ""}], add_generation_prompt=True)
        self._blank_before_answer = " " if opening.endswith(" ") else ""
        self.end_id = self._end_of_turn()

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids up to the point where the assistant's answer begins."""
        system = self.format.system_prompt
        filled = [{"role": "system", "content": system}] if system else []
        filled += messages
        rendered = self._render(filled, add_generation_prompt=True)
        text, *slots = SLOT.split(rendered.removesuffix(" "))
        ids = self._encode(text, parse_special=True, first=True)
        for blank, number, text in zip(slots[::3], slots[1::3], slots[2::3], strict=True):
            content = blank + filled[int(number)]["content"]
            ids += self._encode(content, parse_special=False) + self._encode(text)
        bos_id = self.tokenizer.bos_token_id
        adds_bos = self.tokenizer("")["input_ids"][:1] == [bos_id]
        return [bos_id, *ids] if adds_bos and ids[:1] != [bos_id] else ids

    def question_ids(self, question: str) -> list[int]:
        return self.prompt_ids([{"role": "user", "content": question}])

    def answer_ids(self, answer: str) -> list[int]:
        """The ids of an answer; `end_id`, which ends the turn, comes behind them."""
        return self._encode(self._blank_before_answer + answer, parse_special=False)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids, up to the first control token."""
        stop = next((n for n, i in enumerate(ids) if i in self.special_ids), len(ids))
        return self.tokenizer.decode(list(ids[:stop])).strip()

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """The template around numbered slots instead of the messages' contents."""
        slots = [{**message, "content": f"\ue000{n}\ue001"} for n, message in enumerate(messages)]
        try:
            return self.tokenizer.apply_chat_template(
                slots,
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                date_string=FIXED_DATE,
            )
        except TemplateError as error:
            raise InputError(
                f"the model's chat template refuses these messages ({error}): if it knows no "
                "system role, set tokenize.system_prompt to null"
            ) from None

    def _end_of_turn(self) -> int:
        turn = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]
        tail = SLOT.split(self._render(turn, add_generation_prompt=False))[-1]
        special = (i for i in self._encode(tail) if i in self.special_ids)
        return next(special, self.tokenizer.eos_token_id)

    def _encode(self, text: str, parse_special: bool = True, first: bool = False) -> list[int]:
        def encode(part: str) -> list[int]:
            return self.tokenizer.encode(
                part, add_special_tokens=False, split_special_tokens=not parse_special
            )

        if self._prepends_blank and not first:
            # A SentencePiece tokenizer puts a blank before every text it is given: a line break
            # takes it, and is dropped again.
            return encode("\n" + text)[len(encode("\n")) :]
        return encode(text)
