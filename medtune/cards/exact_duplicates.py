"""Finds cards whose cleaned texts equal an earlier card's."""

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
        asked = "".join(f"{len(text)} {text}" for text in _asked(card))
        return _was_added(self.pairs, asked + card.answer)

    def has_question(self, card: FilteredCard) -> bool:
        """Returns whether its question was added, in any letter case, and adds it."""
        asked = [text.casefold() for text in _asked(card)]
        return _was_added(self.questions, "\x1e".join(asked))


def _asked(card: FilteredCard) -> list[str]:
    """Returns the question after the messages before it, without those that cleaning emptied."""
    return [*(text for text in card.history if text.strip()), card.question]


def _was_added(digests: set[bytes], text: str) -> bool:
    digest = blake2b(text.encode(), digest_size=16).digest()
    if digest in digests:
        return True
    digests.add(digest)
    return False
