"""Finds cards that say the same as an earlier one."""

from dataclasses import dataclass, field
from hashlib import blake2b

from medtune.cards.filtering import FilteredCard


@dataclass
class Duplicates:
    """The cards that were added so far, by digests of their cleaned texts."""

    pairs: set[bytes] = field(default_factory=set)
    questions: set[bytes] = field(default_factory=set)

    def has(self, card: FilteredCard) -> bool:
        """Returns whether an equal card was added, and adds this one."""
        asked = (*card.history, card.question)
        pair = _digest("".join(f"{len(text)} {text}" for text in asked) + card.answer)
        if pair in self.pairs:
            return True
        self.pairs.add(pair)
        return False

    def has_question(self, card: FilteredCard) -> bool:
        """Returns whether its question was added, in any letter case, and adds it."""
        texts = (*card.history, card.question) if card.history else (card.question,)
        question = _digest("\x1e".join(text.casefold() for text in texts))
        if question in self.questions:
            return True
        self.questions.add(question)
        return False


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()
