"""A reader's way through the cards of the quiz: what was missed comes back."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

Rating = Literal["knew", "partly", "missed"]
RETURNS = {"partly": 10, "missed": 4}  # after so many other cards
MOST = 500  # cards of a round


class QuizRound:
    """At most MOST cards, pairs of question and answer, in random order."""

    def __init__(self, cards: Sequence[tuple[str, str]], seed: int | None = None) -> None:
        self.queue = random.Random(seed).sample(cards, min(len(cards), MOST))
        self.counts: Counter[Rating] = Counter()
        self.is_revealed = False

    @property
    def card(self) -> tuple[str, str] | None:
        """The card to ask; None if all are known."""
        return self.queue[0] if self.queue else None

    def rate(self, rating: Rating) -> None:
        """Counts a rating, puts the card back unless it was known, and goes on."""
        card = self.queue.pop(0)
        if rating in RETURNS:
            self.queue.insert(RETURNS[rating], card)
        self.counts[rating] += 1
        self.is_revealed = False

    @property
    def progress(self) -> str:
        words = {"knew": "known", "partly": "partly known", "missed": "not known"}
        said = ", ".join(f"{self.counts[rating]} {words[rating]}" for rating in get_args(Rating))
        total = self.counts.total()
        return f"{total} card{'s' * (total != 1)} rated: {said}."
