"""Turns messages into token ids, piece by piece, for every model that is trained or compared.

The wording of the system prompt is a parameter, tokenize.system_prompt; few_shot_prompts in
medtune.baselines adds cards as earlier turns.

Control tokens come only from the template. What users or data wrote is encoded with special-token
parsing off, so that `<|im_end|>` in a question is just text.
"""

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from medtune.config.schema import Tokenize
from medtune.modeling import chat_templates
from medtune.runtime.errors import InputError

QUESTION_ANSWER_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Question: ' + message['content'] + '\nAnswer: ' }}"
    "{% else %}{{ message['content'] + eos_token + '\n\n' }}{% endif %}"
    "{% endfor %}"
)
SLOT = re.compile("( ?)\ue000([0-9]+)\ue001")  # where content goes, and the space before it

ChatMessage = dict[str, str]  # {"role": "system", "user" or "assistant", "content": …}


def in_turns(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Joins messages of one role in a row, because most templates want the roles to alternate.

    Empty messages of the assistant are left out.
    """
    said = [m for m in messages if m["content"] or m["role"] != "assistant"]
    return [
        {"role": role, "content": "\n\n".join(message["content"] for message in own)}
        for role, own in groupby(said, key=itemgetter("role"))
    ]


@dataclass(frozen=True)
class PromptFormat:
    """How a question becomes a prompt; saved beside the tokens and the adapter."""

    prompt_style: str
    system_prompt: str | None
    disclaimer: str | None = None
    chat_template_kwargs: Mapping[str, chat_templates.Setting] = field(default_factory=dict)
    close_thoughts: bool = False

    @classmethod
    def of(cls, params: Tokenize) -> "PromptFormat":
        return cls(
            params.prompt_style,
            params.system_prompt and params.system_prompt.strip(),  # as most templates do
            params.disclaimer,
            params.chat_template_kwargs,
            params.close_thoughts,
        )

    def save(self, path: Path) -> None:
        """Writes the format as JSON, without what only some templates need."""
        optional = ("chat_template_kwargs", "close_thoughts")
        values = {k: v for k, v in asdict(self).items() if v or k not in optional}
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def without_disclaimer(self, answer: str) -> tuple[str, bool]:
        """Returns the answer without the appended disclaimer, and whether it was there."""
        if not self.disclaimer or self.disclaimer not in answer:
            return answer, False
        return answer.replace(self.disclaimer, "").strip(), True

    @classmethod
    def load(cls, path: Path, stage: str = "tokenize") -> "PromptFormat":
        """Reads a saved format; raises InputError with the command that makes a missing one."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise InputError(f"{path} is missing: run dvc repro {stage}") from None


@dataclass(frozen=True)
class PromptFrame:
    """The constant ids of a prompt, around the contents of its messages.

    `slots` holds, for each content: the number of its message, the space that is encoded with it,
    and the ids that follow.
    """

    opening: list[int]
    slots: list[tuple[int, str, list[int]]]


class PromptEncoder:
    """Turns messages into token ids for one tokenizer and one format."""

    def __init__(self, tokenizer: Any, prompt_format: PromptFormat) -> None:
        self.tokenizer = tokenizer
        self.format = prompt_format
        if tokenizer.eos_token_id is None:
            raise InputError("the model's tokenizer has no end-of-sequence token: use another")
        self.template = self._complete_template()
        self.thought_markers = chat_templates.thought_markers(self.template)
        added = tokenizer.added_tokens_decoder.items()
        self.special_ids = {token_id for token_id, token in added if token.special}
        markers = tokenizer.convert_tokens_to_ids([*(self.thought_markers or ())])
        self._stop_ids = self.special_ids.difference(markers)
        self._plain = _plain_text_tokenizer(tokenizer)
        # A SentencePiece tokenizer puts a space before every text. A line break in front of the
        # text takes that space, and its ids are dropped.
        self._before = "\n" if tokenizer.tokenize("a")[0].startswith("▁") else ""
        self._dropped = len(self._plain.encode(self._before, add_special_tokens=False))
        self._frame = cache(self._new_frame)
        self._space_before_answer = self._space_of_answers()
        self.end_id = self._end_of_turn()

    def prompt_ids(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Returns the ids up to the point where the assistant's answer begins."""
        (ids,) = self.batch_prompt_ids([messages])
        return ids

    def batch_prompt_ids(self, conversations: Sequence[Sequence[ChatMessage]]) -> list[list[int]]:
        """Returns the `prompt_ids` of each conversation; faster than one by one, on all cores."""
        frames = [self._frame(tuple(m["role"] for m in messages)) for messages in conversations]
        contents = [
            space + messages[number]["content"]
            for frame, messages in zip(frames, conversations, strict=True)
            for number, space, _ in frame.slots
        ]
        encoded = iter(self._encode_contents(contents))
        prompts = []
        for frame in frames:
            ids = [*frame.opening]
            for _, _, following in frame.slots:
                ids += next(encoded)
                ids += following
            prompts.append(ids)
        return prompts

    def question_ids(self, question: str) -> list[int]:
        return self.prompt_ids([{"role": "user", "content": question}])

    def batch_question_ids(self, questions: Iterable[str]) -> list[list[int]]:
        return self.batch_prompt_ids([[{"role": "user", "content": text}] for text in questions])

    def answer_ids(self, answer: str) -> list[int]:
        """Returns the ids of an answer, without the `end_id` that ends the turn."""
        (ids,) = self.batch_answer_ids([answer])
        return ids

    def batch_answer_ids(self, answers: Iterable[str]) -> list[list[int]]:
        """Returns the `answer_ids` of each answer; faster than one by one, on all cores."""
        return self._encode_contents([self._space_before_answer + text for text in answers])

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of generated ids, up to the first control token but a thought's."""
        stop = next((n for n, i in enumerate(ids) if i in self._stop_ids), len(ids))
        return self.tokenizer.decode(list(ids[:stop])).strip()

    def without_thought(self, answer: str) -> tuple[str, bool]:
        """Returns the answer without the thought before it, and whether there was one.

        Of an answer that was cut within its thought, nothing is left.
        """
        if not self.thought_markers:
            return answer, False
        begin, end = self.thought_markers
        thought, closed, rest = answer.rpartition(end)
        if closed:
            return rest.strip(), bool(thought.replace(begin, "").strip())
        return ("", True) if answer.startswith(begin) else (answer, False)

    def _complete_template(self) -> str:
        form = self.format
        if form.prompt_style == "question_answer":
            template = QUESTION_ANSWER_TEMPLATE
        else:
            template = chat_templates.model_template(self.tokenizer)
        return chat_templates.complete_template(
            self.tokenizer,
            template,
            form.chat_template_kwargs,
            form.close_thoughts,
            bool(form.system_prompt),
        )

    def _render(self, roles: Sequence[str], add_generation_prompt: bool) -> str:
        return chat_templates.render(self.tokenizer, self.template, roles, add_generation_prompt)

    def _new_frame(self, roles: tuple[str, ...]) -> PromptFrame:
        """Returns the frame of messages with these roles; the system prompt is constant too.

        A system message of the conversation's own takes the place of the system prompt.
        """
        own_system = roles[:1] == ("system",)
        system = [self.format.system_prompt] if self.format.system_prompt and not own_system else []
        rendered = self._render([*("system" for _ in system), *roles], add_generation_prompt=True)
        text, *parts = SLOT.split(rendered.removesuffix(" "))
        frame = PromptFrame(self._encode_opening(text), [])
        constant = frame.opening  # the list of ids that is growing
        for space, slot, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            number, following = int(slot) - len(system), self._encode_template(text)
            space = self._space_after(constant, space)
            if number < 0:
                constant += self._encode_contents([space + system[0]])[0] + following
            else:
                frame.slots.append((number, space, following))
                constant = following
        return frame

    def _space_of_answers(self) -> str:
        """Returns the space that is encoded with an answer: the template's before it."""
        text = chat_templates.text_before_answer(self.tokenizer, self.template)
        prompt = self.question_ids("")
        return self._space_after(prompt, " " if text.endswith(" ") else "")

    def _space_after(self, ids: Sequence[int], space: str) -> str:
        """Returns the space to encode with a content so that it gets its ids behind `ids`.

        Behind a control token or at the very start, SentencePiece itself adds a space.
        """
        if not self._before or (ids and ids[-1] not in self.tokenizer.added_tokens_decoder):
            return space
        token = self.tokenizer.convert_ids_to_tokens(ids[-1]) if ids else ""
        whole = self.tokenizer.encode(f"{token}{space}a", add_special_tokens=False)
        spaces = (space, f" {space}", "")
        same = (s for s in spaces if self._encode_contents([f"{s}a"])[0] == whole[len(ids[-1:]) :])
        return next(same, space)

    def _end_of_turn(self) -> int:
        tail = SLOT.split(self._render(["user", "assistant"], add_generation_prompt=False))[-1]
        special = (i for i in self._encode_template(tail) if i in self.special_ids)
        return next(special, self.tokenizer.eos_token_id)

    def _encode_opening(self, text: str) -> list[int]:
        """Returns the ids that a prompt begins with, including one BOS if the tokenizer adds it."""
        ids = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=False)
        bos_id = self.tokenizer.bos_token_id
        adds_bos = self.tokenizer("")["input_ids"][:1] == [bos_id]
        return [bos_id, *ids] if adds_bos and ids[:1] != [bos_id] else ids

    def _encode_template(self, text: str) -> list[int]:
        """Returns the ids of text that the template puts after a content."""
        ids = self.tokenizer.encode(
            self._before + text, add_special_tokens=False, split_special_tokens=False
        )
        return ids[self._dropped :]

    def _encode_contents(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of what users or data wrote; control tokens in it are just text."""
        once = [*dict.fromkeys(texts)]  # the turns of a conversation are in several prompts
        encodings = self._plain.encode_batch_fast(
            [self._before + text for text in once], add_special_tokens=False
        )
        found = dict(zip(once, encodings, strict=True))
        return [found[text].ids[self._dropped :] for text in texts]


def _plain_text_tokenizer(tokenizer: Any) -> Any:
    """Returns a copy of the tokenizer's backend that reads control tokens as plain text.

    Control tokens are its special tokens, and other added tokens that its chat template writes,
    such as Qwen's <tool_call>, but not runs of spaces.
    """
    plain = copy.deepcopy(tokenizer.backend_tokenizer)
    plain.no_truncation()
    plain.no_padding()
    template = chat_templates.default_template(tokenizer) or ""
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    plain.add_special_tokens([t for t in added if t in template and not t.isspace()])
    plain.encode_special_tokens = True
    return plain
