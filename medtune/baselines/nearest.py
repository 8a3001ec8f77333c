"""Finds the training cards nearest to a question, and answers with the nearest.

Nearness is BM25 (Robertson and Zaragoza 2009): words in common, rare words counting more.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

# A word of two letters or more, or one character of a script without spaces.
WORD = "[\u3040-\u30ff\u3400-\u9fff]|[^\\W\u3040-\u30ff\u3400-\u9fff]{2,}"


class CardIndex:
    """An index of texts, of which each is found by its words."""

    def __init__(self, texts: Sequence[str]) -> None:
        from bm25s import BM25

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # otherwise it logs each step
        self.words = words(texts)  # of each text
        self._known = {word for own in self.words for word in own}
        self._bm25: Any = BM25()
        if self._known:
            self._bm25.index(self.words, show_progress=False)

    def nearest(self, text: str, count: int) -> list[int]:
        """Returns the numbers of the nearest texts, best first; equals in their own order.

        There are none for a text without a known word.
        """
        asked = sorted(self._known.intersection(words([text])[0]))
        if not asked:
            return []
        scores = self._bm25.get_scores(asked)
        count = min(count, len(scores))
        least = np.partition(scores, -count)[-count]
        candidates = np.flatnonzero(scores >= least)
        best = candidates[np.argsort(-scores[candidates], kind="stable")]
        return best[:count].tolist()


def words(texts: Sequence[str]) -> list[list[str]]:
    """Returns the words of each text in lower case, without the commonest of English."""
    from bm25s import tokenize

    tokens: Any = tokenize(
        list(texts), token_pattern=WORD, stopwords="english", return_ids=False, show_progress=False
    )
    return tokens


def renamed(answer: str, name: str | None, asked_name: str | None) -> str:
    """Returns a card's answer with its own name replaced by the one that is asked for.

    Upper and lower case and an English plural make no difference. The plural stays, and a name that
    begins the answer begins with a capital if it did before.

    >>> renamed("Migraines are headaches.", "migraine", "tension headache")
    'Tension headaches are headaches.'
    """
    if not name or not asked_name:
        return answer

    def replace(found: re.Match[str]) -> str:
        first = asked_name[0]
        if found.start() == 0 and found[0][0].isupper():
            first = first.upper()
        return first + asked_name[1:] + found["plural"]

    return occurrences(name).sub(replace, answer)


def occurrences(name: str) -> re.Pattern[str]:
    """Returns the pattern of a name, or its English plural, as a word of its own."""
    return re.compile(rf"(?<!\w){re.escape(name)}(?P<plural>s|es|)(?!\w)", re.IGNORECASE)
