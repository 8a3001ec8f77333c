"""The record: one question-answer card, and the table that holds many of them."""

from dataclasses import dataclass

import pyarrow as pa

FIELDS = ("id", "question", "answer", "kind", "topic", "source")
BIN_WORDS = 10  # of the histograms of answer lengths; a bin is named by its lowest count
SCHEMA = pa.schema([(name, pa.string()) for name in FIELDS])


@dataclass(frozen=True, slots=True)
class Record:
    """A question-answer card as a reader yields it, before cleaning.

    `id` is unique in the data set and names the place in the raw file ("flashcards.json:17").
    `kind` groups cards by what is asked ("definition"), `topic` by what they are about: cards of
    one topic stay in one split, an empty topic stands for itself. `question` and `answer` are None
    where the raw cell holds no text.
    """

    id: str
    question: str | None
    answer: str | None
    kind: str
    topic: str
    source: str
