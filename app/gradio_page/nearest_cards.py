"""Finds the training cards nearest to a question, by BM25."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Self

from medtune.baselines.nearest import CardIndex, words

TRAIN = Path("data/split/train.parquet")
SHOWN = 3
CANDIDATES = 20  # by BM25, which also weighs how long a card is and how often it has a word
# A card scores this much for 46 % of the 72 validation questions of the preset `hpo`, for 4 % of
# 2,723 general questions (one per template in medtune/guard/questions/train/general), and for none
# of medtune.scoring.out_of_domain_questions.
CLOSE = 0.45


@dataclass(frozen=True)
class NearestCard:
    """A card and the share of the question's words that it holds, rare words counting more."""

    question: str
    answer: str
    score: float


class NearestCards:
    """An index of cards, pairs of question and answer."""

    def __init__(self, cards: Sequence[tuple[str, str]]) -> None:
        self.cards = cards
        self._index = CardIndex([f"{question} {answer}" for question, answer in cards])

    @classmethod
    def load(cls, path: Path = TRAIN) -> Self:
        """Indexes the cards of a split; none if its file is missing."""
        import pyarrow.parquet as pq

        rows = (
            pq.read_table(path, columns=["question", "answer"]).to_pylist()
            if path.is_file()
            else []
        )
        return cls([(row["question"], row["answer"]) for row in rows])

    def nearest(self, question: str) -> list[NearestCard]:
        """Returns up to SHOWN cards whose score, from 0 to 1, is at least CLOSE, best first."""
        asked = set(words([question])[0])
        total = sum(map(self._weight, asked))
        found = []
        for number in self._index.nearest(question, CANDIDATES):
            card_question, card_answer = self.cards[number]
            shared = asked.intersection(words([f"{card_question} {card_answer}"])[0])
            score = sum(map(self._weight, shared)) / total
            if score >= CLOSE:
                found.append(NearestCard(card_question, card_answer, score))
        return sorted(found, key=lambda card: -card.score)[:SHOWN]

    def _weight(self, word: str) -> float:
        """Returns BM25's inverse document frequency, greatest for a word that is in no card."""
        count = self._index.frequency(word)
        return log(1 + (len(self.cards) - count + 0.5) / (count + 0.5))
