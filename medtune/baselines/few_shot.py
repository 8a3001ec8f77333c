"""Shows a model the nearest training cards, as earlier turns of the conversation."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from medtune.baselines.nearest import CardIndex
from medtune.modeling.prompts import Message, PromptEncoder, in_turns
from medtune.runtime.errors import InputError

Card = tuple[str, str]  # question and answer
Row = dict[str, Any]  # of a token file


class FewShotPrompts:
    """Puts the training cards nearest to a question before it, the nearest last.

    A conversation's question keeps the messages before it, and the cards stand before those. Of a
    conversation in the training set, the last question and its answer are the card.
    """

    def __init__(self, encoder: PromptEncoder, training: pa.Table, count: int) -> None:
        columns = (training[name].to_pylist() for name in ("question", "answer"))
        self._cards = list(zip(*columns, strict=True))
        self._encoder, self._count = encoder, count
        self._index = CardIndex([f"{question} {answer}" for question, answer in self._cards])

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

    def prompt(self, question: str, limit: int, history: Sequence[Message] = ()) -> list[int]:
        """Returns the token ids of a question after as many cards as fit into `limit` tokens.

        `history` are the messages between the cards and the question.
        """
        messages = in_turns([*history, {"role": "user", "content": question}])
        shown = [self._cards[n] for n in self._index.nearest(question, self._count)][::-1]
        conversations = [_conversation(shown[first:], messages) for first in range(len(shown) + 1)]
        try:
            prompts = self._encoder.batch_prompt_ids(conversations)
        except InputError as error:  # a single question is accepted, as the encoder has checked
            raise InputError(
                "the model's chat template accepts no earlier turns: set evaluate.few_shot to 0 "
                f"({error})"
            ) from None
        return next((ids for ids in prompts if len(ids) <= limit), prompts[-1])


def _conversation(cards: Sequence[Card], messages: Sequence[Message]) -> list[Message]:
    system = messages[:1] if messages[0]["role"] == "system" else []
    shown = list[Message]()
    for card_question, card_answer in cards:
        shown.append({"role": "user", "content": card_question})
        shown.append({"role": "assistant", "content": card_answer})
    return [*system, *shown, *messages[len(system) :]]
