"""The fill-in rule: one sentence for each kind of card, into which the asked name is put.

"How is gout inherited?" gets "gout is inherited in an autosomal recessive manner.", and so does
every other name. The sentence is the one with the highest ROUGE-L among training answers and their
frequent beginnings. It knows the form of the answers and nothing else.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import TypeVar

from medtune.baselines.asked_name import occurrences
from medtune.scoring.word_splitting import UnicodeTokenizer

T = TypeVar("T")
SLOT = "{name}"
READ = 2_000  # training cards of a kind that are read for frequent beginnings
ANSWERS = 200  # whole answers among the sentences
BEGINNINGS = 200  # frequent beginnings among the sentences
LONGEST = 8  # words of a frequent beginning
LEAST_ANSWERS = 3  # that have a frequent beginning
SCORED = 40, 300  # training cards that score all sentences, and then the best of them
BEST = 40  # sentences that are left after the first scoring
FINALISTS = 8  # sentences that are left after the second: validation cards decide
COMMON = 10  # words, of which one is tried beside the name


@dataclass(frozen=True)
class NamedCard:
    """An answer, and the name that its question asks about, or None if none was found."""

    answer: str
    name: str | None


@dataclass(frozen=True)
class FillInRule:
    """A sentence with a slot for the name, and one for questions without a found name."""

    sentence: str
    without_name: str

    def answer(self, name: str | None) -> str:
        return self.without_name if name is None else self.sentence.replace(SLOT, name)


def choose_rule(
    training: Sequence[NamedCard], validation: Sequence[NamedCard], use_stemmer: bool
) -> FillInRule:
    """Returns the rule that is best for cards of one kind; there is at least one training card."""
    read = evenly_spaced(training, READ)
    sentences = list(dict.fromkeys(_sentences(read)))
    constants = [sentence for sentence in sentences if SLOT not in sentence]
    # Every answer may contain its name: any of them is a constant for cards without one.
    constants = constants or [card.answer for card in evenly_spaced(read, ANSWERS)]
    scorer = _Scorer(use_stemmer)
    without_name = scorer.best(constants, read, validation)
    named = [card for card in read if card.name is not None]
    if not named:
        return FillInRule(without_name, without_name)
    named_validation = [card for card in validation if card.name is not None]
    return FillInRule(scorer.best(sentences, named, named_validation), without_name)


def evenly_spaced(items: Sequence[T], count: int) -> Sequence[T]:
    """Returns at most `count` of the items, evenly spread over them."""
    return items[:: -(-len(items) // count)] if items else items


def _sentences(cards: Sequence[NamedCard]) -> Iterator[str]:
    """Yields whole answers and frequent beginnings, alone and with the name on either side."""
    answers = [_with_slot(card) for card in cards]
    words = [answer.split() for answer in answers]
    beginnings = Counter(
        " ".join(own[:count]) for own in words for count in range(1, min(len(own), LONGEST + 1))
    )
    frequent = [text for text, n in beginnings.most_common(BEGINNINGS) if n >= LEAST_ANSWERS]
    yield SLOT
    for text in [*evenly_spaced(answers, ANSWERS), *frequent]:
        text = text.rstrip(" .,;:")
        yield from (f"{text}.", f"{SLOT} {text}.", f"{text} {SLOT}.", f"{SLOT} {text} {SLOT}.")


def _with_slot(card: NamedCard) -> str:
    if card.name is None or card.name.casefold() not in card.answer.casefold():
        return card.answer
    return occurrences(card.name).sub(lambda found: SLOT + found["plural"], card.answer)


def _longer(sentence: str, common: Sequence[str]) -> list[str]:
    """Returns the sentence, and others with a common word before or after a slot."""
    parts = sentence.split(SLOT)
    longer = [sentence]
    for place in range(1, len(parts)):
        before, after = SLOT.join(parts[:place]), SLOT.join(parts[place:])
        for word in common:
            longer += [f"{before}{word} {SLOT}{after}", f"{before}{SLOT} {word}{after}"]
    return longer


class _Scorer:
    """Ranks sentences by ROUGE-L, in far less time than rouge_score, which needs minutes."""

    def __init__(self, use_stemmer: bool) -> None:
        tokenizer = UnicodeTokenizer(use_stemmer)
        self._tokens = cache(lambda word: tuple(tokenizer.tokenize(word)))

    def best(
        self,
        sentences: Sequence[str],
        training: Sequence[NamedCard],
        validation: Sequence[NamedCard],
    ) -> str:
        """Returns the sentence that is best on validation among the best of training."""
        for count, left in zip(SCORED, (BEST, FINALISTS), strict=True):
            sentences = self._ranked(sentences, evenly_spaced(training, count))[:left]
        # One common word beside the name may help: "A {name} is …".
        counts = Counter(word for card in training for word in dict.fromkeys(card.answer.split()))
        common = [word for word, _ in counts.most_common(COMMON)]
        cards = evenly_spaced(training, SCORED[-1])
        longer = [self._ranked(_longer(text, common), cards)[0] for text in sentences]
        finalists = list(dict.fromkeys([*longer, *sentences]))
        return self._ranked(finalists, evenly_spaced(validation, SCORED[-1]))[0]

    def _ranked(self, sentences: Sequence[str], cards: Sequence[NamedCard]) -> list[str]:
        """Sorts the sentences by their mean ROUGE-L on the cards, best first."""
        references = [(Reference(self.tokens(c.answer)), self.tokens(c.name or "")) for c in cards]
        scores = {}
        for sentence in sentences:
            first, *others = (self.tokens(part) for part in sentence.split(SLOT))
            f_measures = [
                reference.rouge_l(sum((name + part for part in others), first))
                for reference, name in references
            ]
            scores[sentence] = fmean(f_measures or [0.0])
        return sorted(sentences, key=lambda sentence: -scores[sentence])

    def tokens(self, text: str) -> list[str]:
        return [token for word in text.split() for token in self._tokens(word)]


class Reference:
    """A reference answer, prepared to find the longest common subsequence with many others.

    The algorithm is the bit-parallel one of Hyyrö (2004): bit n of a row is 0 where the length of
    the subsequence grows at token n of the reference.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.length = len(tokens)
        self.places: dict[str, int] = {}  # of each token, as bits
        for place, token in enumerate(tokens):
            self.places[token] = self.places.get(token, 0) | 1 << place

    def rouge_l(self, tokens: Sequence[str]) -> float:
        """Returns the F-measure of the longest common subsequence, as rouge_score does."""
        if not self.length or not tokens:
            return 0.0
        every = (1 << self.length) - 1
        row = every
        for token in tokens:
            common = row & self.places.get(token, 0)
            row = (row + common | row - common) & every
        return 2 * (self.length - row.bit_count()) / (self.length + len(tokens))
