"""Turns cards and conversations into rows of a token file.

Every answer of a conversation is learned behind exactly the prompt that the chat would give the
model at that turn: the template, the system prompt, and as many of the turns before it as fit. If
the prompt of the next answer begins with all of that, both answers share a row, and the loss leaves
out what is said between them. Otherwise the answer has a separate row: some templates rewrite
earlier answers, and the oldest turns of a long conversation no longer fit.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from medtune.config.allowed_values import SplitName
from medtune.config.schema import Tokenize
from medtune.modeling.prompts import ChatMessage, PromptEncoder, in_turns
from medtune.modeling.token_files import CONVERSATIONS, SCHEMA
from medtune.runtime.errors import InputError

Row = dict[str, Any]


def card_batch(
    records: pa.RecordBatch, encoder: PromptEncoder, params: Tokenize, split: SplitName
) -> tuple[pa.RecordBatch, dict[str, int]]:
    """Returns the rows of a token file, and the lengths of prompts without room for an answer.

    The loss covers `input_ids[loss_start:]`: the answer and its end-of-turn token, or all but the
    first token, which nothing predicts. params.truncation decides whether an answer that is too
    long is cut, keeping that token, or its row is left out; test references are always cut.
    """
    added = f" {params.disclaimer}" if params.disclaimer and split != "test" else ""
    prompts = encoder.batch_question_ids(records["question"].to_pylist())
    answers = encoder.batch_answer_ids([text + added for text in records["answer"].to_pylist()])
    lengths = np.array([len(ids) for ids in prompts], np.int32)
    rooms = params.max_length_tokens - lengths - 1  # tokens for the answer before its end token
    truncated = np.array([len(ids) for ids in answers]) > rooms
    kept = rooms > 0
    no_room = {records["id"][n].as_py(): int(lengths[n]) for n in np.flatnonzero(~kept)}
    if params.truncation == "drop" and split != "test":
        kept &= ~truncated
    rows = [[*prompts[n], *answers[n][: rooms[n]], encoder.end_id] for n in np.flatnonzero(kept)]
    loss_starts = np.ones_like(lengths) if params.loss_on == "all" else lengths
    columns = [
        *records.filter(pa.array(kept)).columns,
        pa.array(rows, pa.list_(pa.int32())),
        *(pa.array(values[kept]) for values in (lengths, loss_starts, truncated)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA), no_room


@dataclass
class RecordTurn:
    """A question with its answer; `messages` are those before the answer, the question last."""

    record: int
    card: Row  # the record, with this turn's question and answer
    messages: list[ChatMessage]
    prompt_ids: list[int] = field(default_factory=list)
    answer_ids: list[int] = field(default_factory=list)
    left_out: int = 0  # earlier questions that are not in the prompt

    @property
    def questions(self) -> list[int]:
        """The numbers of the messages that are questions."""
        return [n for n, message in enumerate(self.messages) if message["role"] == "user"]

    def prompt(self, left_out: int) -> list[ChatMessage]:
        """Returns the messages without the oldest turns; a system message stays."""
        system = self.messages[:1] if self.messages[0]["role"] == "system" else []
        return [*system, *self.messages[self.questions[left_out] :]] if left_out else self.messages

    def row(self, limit: int, end_id: int) -> Row:
        """Returns the row of a token file, of at most `limit` tokens, that has this turn alone."""
        start = len(self.prompt_ids)
        room = limit - start - 1
        return self.card | {
            "input_ids": [*self.prompt_ids, *self.answer_ids[:room], end_id],
            "prompt_length": start,
            "loss_start": start,
            "truncated": len(self.answer_ids) > room,
            "history": self.prompt(self.left_out)[:-1],
            "turns_left_out": self.left_out,
            "masked_spans": [],
        }


def conversation_batch(
    records: pa.RecordBatch, encoder: PromptEncoder, params: Tokenize, split: SplitName
) -> tuple[pa.RecordBatch, dict[str, int]]:
    """Returns the rows of a token file, and the lengths of prompts without room for an answer.

    Training may have several rows of one record. Validation and test have one, which ends in the
    last answer. Where a record is too long and `truncation` does not drop it, the oldest turns are
    left out before an answer is cut.
    """
    added = f" {params.disclaimer}" if params.disclaimer and split != "test" else ""
    turns = [t for n, card in enumerate(records.to_pylist()) for t in turns_of(n, card, added)]
    if params.turns == "last" or split == "test":
        turns = [list(own)[-1] for _, own in groupby(turns, key=lambda turn: turn.record)]
    encode(turns, encoder, params.max_length_tokens, added)
    rows, no_room = list[Row](), dict[str, int]()
    for _, own in groupby(turns, key=lambda turn: turn.record):
        of_record = list(own)
        longest = max(len(turn.prompt_ids) for turn in of_record)
        if longest + 1 >= params.max_length_tokens:
            no_room[of_record[0].card["id"]] = longest
            continue
        found = [turn.row(params.max_length_tokens, encoder.end_id) for turn in of_record]
        is_whole = not any(row["turns_left_out"] or row["truncated"] for row in found)
        if is_whole or params.truncation == "cut" or split == "test":
            rows += join_rows(found) if split == "train" else join_rows(found)[-1:]
    if params.loss_on == "all":
        rows = [row | {"loss_start": 1, "masked_spans": []} for row in rows]
    return pa.RecordBatch.from_pylist(rows, CONVERSATIONS), no_room


def turns_of(record: int, card: Row, added: str = "") -> Iterator[RecordTurn]:
    """Yields the turns of a record in their order; `added` ends each answer of the assistant.

    What the assistant says before the first question is not learned.
    """
    question = {"role": "user", "content": card["question"]}
    said = in_turns([*(card["history"] or ()), question])
    heard = [
        message | {"content": message["content"] + added}
        if message["role"] == "assistant"
        else message
        for message in said
    ]
    for number, (before, message) in enumerate(pairwise(said), start=1):
        if (before["role"], message["role"]) == ("user", "assistant"):
            texts = {"question": before["content"], "answer": message["content"]}
            yield RecordTurn(record, card | texts, heard[:number])
    yield RecordTurn(record, card, heard)


def encode(
    turns: Sequence[RecordTurn], encoder: PromptEncoder, limit: int, added: str = ""
) -> None:
    """Sets the ids of each turn, without as many of the oldest turns as `limit` demands."""
    answers = encoder.batch_answer_ids(turn.card["answer"] + added for turn in turns)
    try:
        prompts = encoder.batch_prompt_ids([turn.messages for turn in turns])
    except InputError:
        raise _rejected(turns, encoder) from None
    for turn, prompt, answer in zip(turns, prompts, answers, strict=True):
        turn.prompt_ids, turn.answer_ids = prompt, answer
        room = limit - len(answer) - 1
        if len(prompt) > room and len(turn.questions) > 1:
            turn.left_out = fewest_left_out(turn, encoder, room)
            turn.prompt_ids = encoder.prompt_ids(turn.prompt(turn.left_out))


def fewest_left_out(turn: RecordTurn, encoder: PromptEncoder, room: int) -> int:
    """Returns how many of the oldest turns a prompt of `room` tokens leaves out, at least one.

    All earlier turns are left out if nothing else fits.
    """

    def fits(left_out: int) -> bool:
        return len(encoder.prompt_ids(turn.prompt(left_out))) <= room

    return 1 + bisect_left(range(1, len(turn.questions) - 1), True, key=fits)


def join_rows(rows: Sequence[Row]) -> list[Row]:
    """Joins each row of a record with the next one if that begins with it."""
    found: list[Row] = []
    for row in rows:
        spans, start = [], row["loss_start"]
        if found and row["input_ids"][: len(found[-1]["input_ids"])] == found[-1]["input_ids"]:
            before = found.pop()
            spans = [*before["masked_spans"], [len(before["input_ids"]), start]]
            start = before["loss_start"]
        found.append(row | {"loss_start": start, "masked_spans": spans})
    return found


def _rejected(turns: Sequence[RecordTurn], encoder: PromptEncoder) -> InputError:
    """Returns the error that names the first record whose messages the template does not take."""
    for turn in turns:
        try:
            encoder.prompt_ids(turn.messages)
        except InputError as error:
            roles = ", ".join(message["role"] for message in turn.messages)
            return InputError(
                f"{turn.card['id']} is a conversation of {roles}: {error}, or "
                "tokenize.prompt_style to question_answer, which takes all"
            )
    raise AssertionError("each conversation alone is accepted, but not all together")
