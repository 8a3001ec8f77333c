"""Decides which of a card's known facts an answer gets right.

A card's `fact_type` says how: `equal` (the answer is one of the facts, or several), `list` (the
answer lists facts) or `named` (the answer names a fact anywhere). A fact is a list of accepted
wordings; medtune.cards.accepted_wordings has those of the ontologies. Wordings and answers are
compared as stems without stop words.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from medtune.content.content_words import Words, stems

MOST_PARTS = 4  # of an answer that are one fact: "delayed speech and language, mild"
NEGATIONS = frozenset({"no", "not", "non", "never", "without", "neither", "nor", "cannot"})
NEGATION_REACH = 2  # stems before a fact in which a negation denies it
_SENTENCE = re.compile(r"[.!?](?:\s|$)|[;\n。！？；।؟؛]")
_PART = re.compile(r"[.!?](?:\s|$)|[,;:\n•。！？；।؟؛，、：،]|\s[-–—]\s|&|\band\b", re.IGNORECASE)


class CardFacts(NamedTuple):
    """The facts of a card, each with its accepted wordings, and how an answer states them."""

    fact_type: str
    facts: Sequence[Sequence[str]]


NO_FACTS = CardFacts("", ())


@dataclass(frozen=True)
class Marks:
    """How right an answer is, 0 to 1; None where that is not known. Only lists have the others."""

    right: float | None = None
    precision: float | None = None
    recall: float | None = None


def mark(prediction: str, question: str, card: CardFacts, frame: Set[str] = frozenset()) -> Marks:
    """Returns the marks of an answer; none if its card has no fact that the question leaves open.

    A fact does not count if the question has all words of one of its wordings. `equal` and `list`
    overlook the words of `frame` (see fact_frame) and of the question.
    """
    asked = frozenset(stems(question))
    facts = [
        [stems(text) for wording in fact for text in spellings(wording)] for fact in card.facts
    ]
    known = [wordings for wordings in facts if not any(map(asked.issuperset, wordings))]
    if not card.fact_type or not known:
        return Marks()
    if card.fact_type == "named":
        return Marks(float(any(names(prediction, w) for wordings in known for w in wordings)))
    right, wrong = count_listed(prediction, known, frame | asked)
    if card.fact_type == "equal":
        return Marks(float(right > 0 and wrong == 0))
    precision, recall = right / max(right + wrong, 1), right / len(known)
    return Marks(2 * right / (right + wrong + len(known)), precision, recall)


def spellings(wording: str) -> tuple[str, ...]:
    """Returns a wording, and as it reads in a sentence if it is inverted.

    >>> spellings("Cough, dry")
    ('Cough, dry', 'dry Cough')
    """
    first, comma, second = wording.partition(", ")
    return (wording, f"{second} {first}") if comma else (wording,)


def fact_frame(frame: Set[str], wordings: Iterable[str]) -> frozenset[str]:
    """Returns a kind's frame without the words of its facts, which decide between answers."""
    return frozenset(frame).difference(*map(stems, wordings))


def count_listed(
    prediction: str, facts: Sequence[Sequence[Words]], overlooked: Set[str]
) -> tuple[int, int]:
    """Returns how many different facts an answer lists, and how many different other things.

    The answer is cut at commas, semicolons, "and" and the ends of sentences. As some facts hold
    these themselves, up to MOST_PARTS neighbouring parts may be one fact.
    """
    by_wording = {wording: n for n, fact in enumerate(facts) for wording in fact}
    parts = [stems(part) for part in _PART.split(prediction)]
    right: set[int] = set()
    wrong: set[Words] = set()
    start = 0
    while start < len(parts):
        for end in range(min(start + MOST_PARTS, len(parts)), start, -1):
            fact = _fact(sum(parts[start:end], ()), by_wording, overlooked)
            if fact is not None and parts[start]:
                right.add(fact)
                break
        else:
            end = start + 1
            rest = _without(parts[start], overlooked)
            wrong |= {rest} if rest else set()
        start = end
    return len(right), len(wrong)


def names(prediction: str, wording: Words) -> bool:
    """Whether a sentence of the answer has the wording as whole words, not denied before it.

    >>> names("A neoplasm of the lungs.", ("lung",)), names("It is not a cancer.", ("cancer",))
    (True, False)
    """
    length = len(wording)
    for words in map(stems, _SENTENCE.split(prediction)):
        for start in range(len(words) - length + 1):
            before = words[max(0, start - NEGATION_REACH) : start]
            if words[start : start + length] == wording and not NEGATIONS.intersection(before):
                return True
    return False


def _fact(words: Words, by_wording: Mapping[Words, int], overlooked: Set[str]) -> int | None:
    """Returns the fact that words state if those are overlooked that its wording does not need."""
    for wording, fact in by_wording.items():
        if _without(words, overlooked - set(wording)) == wording:
            return fact
    return None


def _without(words: Words, overlooked: Set[str]) -> Words:
    return tuple(word for word in words if word not in overlooked)
