"""Compares the content words of an answer and its reference.

Content words are what is left without the words of the question, without stop words, and without
the kind's frame: the words that most answers of a kind share, whatever they are about.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from functools import lru_cache

from medtune.scoring.word_splitting import UnicodeTokenizer

FRAME_SHARE = 0.2  # of the training answers of a kind: a word in so many belongs to the frame
MIN_FRAME_CARDS = 30  # a kind with fewer training cards has no frame: chance would decide
# Words that hold a sentence together or introduce an answer ("a kind of", "also called"). Words
# that negate or order in time are content.
STOP_WORDS = """
    a an the this that these those it its itself they them their theirs he him his she her hers we
    us our you your i me my who whom whose which what when where why how there here and or but if
    than then as because while although though so of in on at by for from to into onto with within
    upon via per about is are was were be been being am has have had having do does did can could
    may might must shall should will would such some any each both other another more most very
    also too one ones type kind sort form term name called known
"""

Words = tuple[str, ...]
CardTexts = tuple[str, str, str]  # kind, question, answer

_TOKENIZER = UnicodeTokenizer(use_stemmer=True)
_STOP_STEMS = frozenset(_TOKENIZER.tokenize(STOP_WORDS))
_NEGATION, _POSSESSIVE = re.compile(r"n['’]t\b", re.IGNORECASE), re.compile(r"['’]s\b")


@lru_cache(maxsize=20_000)
def stems(text: str) -> Words:
    """Returns the stems of a text's words in their order, without stop words.

    >>> stems("It isn't one of the patient's fevers.")
    ('not', 'patient', 'fever')
    """
    text = _POSSESSIVE.sub("", _NEGATION.sub(" not", text))
    return tuple(word for word in _TOKENIZER.tokenize(text) if word not in _STOP_STEMS)


def frames(training: Iterable[CardTexts]) -> dict[str, frozenset[str]]:
    """Returns the frame of each kind: stems in at least FRAME_SHARE of its training answers.

    A word that an answer takes from its question does not count for it.
    """
    cards: Counter[str] = Counter()
    holding: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, question, answer in training:
        cards[kind] += 1
        holding[kind].update(set(stems(answer)) - set(stems(question)))
    return {
        kind: frozenset(
            stem
            for stem, count in holding[kind].items()
            if number >= MIN_FRAME_CARDS and count >= FRAME_SHARE * number
        )
        for kind, number in cards.items()
    }


def content_f1(
    prediction: str, reference: str, question: str, frame: Set[str] = frozenset()
) -> float | None:
    """Returns the F1 of the content words, 0 to 1, or None if the reference has none.

    Words count as often as they occur: precision is the share of the prediction's content words
    that the reference has, recall the share of the reference's that the prediction has.
    """
    left_out = frame | set(stems(question))
    predicted, expected = (_counted(stems(text), left_out) for text in (prediction, reference))
    if not expected:
        return None
    return 2 * (predicted & expected).total() / (predicted.total() + expected.total())


def _counted(words: Sequence[str], left_out: Set[str]) -> Counter[str]:
    return Counter(word for word in words if word not in left_out)
