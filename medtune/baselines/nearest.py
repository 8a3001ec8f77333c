"""Finds the training cards nearest to a question, and answers with the nearest.

Nearness is BM25 (Robertson and Zaragoza 2009): words in common, rare words counting more.
"""

import logging
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from medtune.baselines.asked_name import NameFinder, occurrences
from medtune.scoring.word_splitting import WORD, has_unspaced

TEXTS = ["question", "answer"]  # columns of cards by which they are found
BATCH = 1_000  # texts whose words are Python objects at a time
ASCII_WORD = re.compile("[a-z0-9]{2,}")
OTHER = ""  # stands for every word that nobody asks for


class CardIndex:
    """An index of texts, of which each is found by its words.

    It finds the same for less memory if `asked` has all questions: then it counts only their words.
    """

    def __init__(self, texts: Iterable[str], asked: Iterable[str] | None = None) -> None:
        from bm25s import BM25
        from bm25s.tokenization import Tokenized

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # otherwise it logs each step
        numbers, documents = _numbered(texts, asked)
        self._numbers = numbers
        self._bm25: Any = BM25()
        self._ends: Sequence[int] = [0] * (len(numbers) + 1)  # of the texts that have each word
        if documents.numbers:
            corpus: Any = Tokenized(documents, numbers)
            self._bm25.index(corpus, create_empty_token=False, show_progress=False)
            self._ends = self._bm25.scores["indptr"]

    def nearest(self, text: str, count: int) -> list[int]:
        """Returns the numbers of the nearest texts, best first; equals in their own order.

        There are none for a text without a known word.
        """
        asked = sorted(word for word in set(words([text])[0]) if self.frequency(word))
        if not asked:
            return []
        scores = self._bm25.get_scores(asked)
        count = min(count, len(scores))
        least = np.partition(scores, -count)[-count]
        candidates = np.flatnonzero(scores >= least)
        best = candidates[np.argsort(-scores[candidates], kind="stable")]
        return best[:count].tolist()

    def frequency(self, word: str) -> int:
        """Returns how many texts have the word."""
        number = self._numbers.get(word)
        return 0 if number is None else int(self._ends[number + 1] - self._ends[number])


class NearestAnswers:
    """Answers with the training card nearest to a question, or the first if none is near."""

    def __init__(self, training: pa.Table, finder: NameFinder, asked: Iterable[str]) -> None:
        """Indexes the training cards; `asked` has all questions, as for a CardIndex."""
        self._training, self._finder = training, finder
        self._index = CardIndex(card_texts(training), asked)

    def answer(self, question: str) -> str:
        return self._nearest(question)["answer"]

    def renamed_answer(self, question: str) -> str:
        """Returns the answer with the asked name in place of the card's own."""
        card = self._nearest(question)
        names = self._finder.find(card["question"]), self._finder.find(question)
        return renamed(card["answer"], *names)

    def _nearest(self, question: str) -> dict[str, str]:
        return card_in(self._training, next(iter(self._index.nearest(question, 1)), 0))


def card_in(table: pa.Table, number: int) -> dict[str, Any]:
    return table.slice(number, 1).to_pylist()[0]


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


class _Documents:
    """The words of each text as numbers, which are Python objects only while they are read."""

    def __init__(self) -> None:
        self.numbers, self.ends = array("i"), array("q", [0])

    def append(self, numbers: Iterable[int]) -> None:
        self.numbers.extend(numbers)
        self.ends.append(len(self.numbers))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __iter__(self) -> Iterator[list[int]]:
        for start, end in pairwise(self.ends):
            yield self.numbers[start:end].tolist()


def _numbered(
    texts: Iterable[str], asked: Iterable[str] | None
) -> tuple[dict[str, int], _Documents]:
    """Returns the number of each word, and the texts in numbers."""
    numbers = dict[str, int]()
    if asked is not None:
        for word in (OTHER, *(word for own in words(asked) for word in own)):
            numbers.setdefault(word, len(numbers))
    documents, rest = _Documents(), iter(texts)
    while batch := list(islice(rest, BATCH)):
        for own in words(batch):
            if asked is None:
                documents.append([numbers.setdefault(word, len(numbers)) for word in own])
            else:
                documents.append([numbers.get(word, numbers[OTHER]) for word in own])
    return numbers, documents


def card_texts(cards: pa.Table) -> Iterator[str]:
    """Yields question and answer of each card as one text."""
    for batch in cards.select(TEXTS).to_batches(max_chunksize=BATCH):
        for question, answer in zip(*batch.to_pydict().values(), strict=True):
            yield f"{question} {answer}"


def words(texts: Iterable[str]) -> list[list[str]]:
    """Returns the words of each text in lower case, without the commonest of English.

    A word has two letters or more, or is a character of a script without spaces.
    """
    from bm25s.stopwords import STOPWORDS_EN

    commonest = frozenset(STOPWORDS_EN)

    def counted(text: str) -> list[str]:
        if text.isascii():  # faster, and the same
            found = ASCII_WORD.findall(text)
        else:
            found = [w for w in WORD.findall(text) if len(w) > 1 or has_unspaced(w)]
        return [word for word in found if word not in commonest]

    return [counted(text.lower()) for text in texts]
