"""Shows a model the nearest training cards, as earlier turns of the conversation."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from medtune.baselines.nearest import TEXTS, CardIndex, card_texts
from medtune.modeling.prompts import ChatMessage, PromptEncoder, in_turns
from medtune.runtime.errors import InputError

QuestionAnswer = tuple[str, str]
Row = dict[str, Any]  # of a token file
BATCH = 1000  # rows that are Python objects at a time


class FewShotPrompts:
    """Puts the training cards nearest to a question before it, the nearest last.

    A conversation's question keeps the messages before it, and the cards stand before those. Of a
    conversation in the training set, the last question and its answer are the card.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        training: pa.Table,
        count: int,
        asked: Iterable[str] | None = None,
    ) -> None:
        """Indexes the training cards; `asked` has all questions, as for a CardIndex."""
        self._encoder, self._training, self._count = encoder, training.select(TEXTS), count
        self._index = CardIndex(card_texts(self._training), asked)

    def rows(self, rows: Sequence[Row], context: int, max_new_tokens: int) -> list[Row]:
        """Returns rows of a token file with cards before each question.

        The prompt leaves room in the model's `context` for the reference and for an answer of
        `max_new_tokens`. Where it is too long, the farthest cards are left out.
        """
        longer = []
        for row in rows:
            answer = row["input_ids"][row["prompt_length"] :]
            limit = context - max(len(answer), max_new_tokens)
            prompt = self.prompt(row["question"], limit, row.get("history", ()))
            longer.append(row | {"input_ids": prompt + answer, "prompt_length": len(prompt)})
        return longer

    def table(self, cards: pa.Table, context: int, max_new_tokens: int) -> pa.Table:
        """Returns `input_ids` and `prompt_length` of these rows of a token file."""
        schema = pa.schema([cards.schema.field(name) for name in ("input_ids", "prompt_length")])
        batches = []
        for batch in cards.to_batches(max_chunksize=BATCH):
            rows = self.rows(batch.to_pylist(), context, max_new_tokens)
            batches.append(pa.RecordBatch.from_pylist(rows, schema))
        return pa.Table.from_batches(batches, schema)

    def prompt(self, question: str, limit: int, history: Sequence[ChatMessage] = ()) -> list[int]:
        """Returns the token ids of a question after as many cards as fit into `limit` tokens.

        `history` are the messages between the cards and the question.
        """
        messages = in_turns([*history, {"role": "user", "content": question}])
        shown = [self._card(n) for n in self._index.nearest(question, self._count)][::-1]
        conversations = [_conversation(shown[first:], messages) for first in range(len(shown) + 1)]
        try:
            prompts = self._encoder.batch_prompt_ids(conversations)
        except InputError as error:  # a single question is accepted, as the encoder has checked
            raise InputError(
                "the model's chat template accepts no earlier turns: set evaluate.few_shot to 0 "
                f"({error})"
            ) from None
        return next((ids for ids in prompts if len(ids) <= limit), prompts[-1])

    def _card(self, number: int) -> QuestionAnswer:
        question, answer = (self._training[name][number].as_py() for name in TEXTS)
        return question, answer


def _conversation(
    cards: Sequence[QuestionAnswer], messages: Sequence[ChatMessage]
) -> list[ChatMessage]:
    system = messages[:1] if messages[0]["role"] == "system" else []
    shown = list[ChatMessage]()
    for card_question, card_answer in cards:
        shown.append({"role": "user", "content": card_question})
        shown.append({"role": "assistant", "content": card_answer})
    return [*system, *shown, *messages[len(system) :]]
