"""Finds the name that a question asks about, by comparing it with the training questions.

"What is gout?" and "What is asthma?" begin and end alike and differ in between: what differs is the
name. Nothing is known about the data set's templates or its language. Also finds a known name in an
answer.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import log

import regex

from medtune.scoring.word_splitting import WORD

# A word of a script with spaces, a character of one without, or a mark such as "?".
TOKEN = regex.compile(rf"{WORD.pattern}|[^\w\s]", regex.V1)
SAMPLE = 20_000  # training questions that are compared; the frequent frames are frequent in them
LONGEST = 12  # words on one side of a frame
MIN_QUESTIONS, MIN_SHARE = 3, 0.005  # that share a frame, of all that are compared

Words = tuple[str, ...]
QuestionFrame = tuple[Words, Words]  # the words before the name, and those after it in reverse


class NameFinder:
    """Finds names by the frames that training questions share.

    The best of a question's frames is shared by many questions and has many words that are rare
    elsewhere. In "How is Marfan syndrome inherited?" the frame "How is … inherited?" beats "How is
    … syndrome inherited?", because "syndrome" is part of other names as well, and "How is …?",
    because "inherited" is not.
    """

    def __init__(self, questions: Sequence[str]) -> None:
        unique = list(dict.fromkeys(questions))
        compared = [_words(text) for text in unique[:: len(unique) // SAMPLE + 1]]
        least = max(MIN_QUESTIONS, MIN_SHARE * len(compared))
        everywhere = Counter(word for words in compared for word in dict.fromkeys(words))
        starts = Counter(words[:n] for words in compared for n in _sides(words))
        ends = Counter(words[::-1][:n] for words in compared for n in _sides(words))
        self._starts = _own_words(starts, everywhere, least)
        self._ends = _own_words(ends, everywhere, least)
        counts = Counter(frame for words in compared for frame in self._frames(words))
        self._values = {
            (start, end): (self._starts[start] + self._ends[end]) * log(count)
            for (start, end), count in counts.items()
            if count >= least
        }

    def find(self, question: str) -> str | None:
        """Returns the name in the question as it is written there, or None without a frame."""
        words = _words(question)
        frames = [frame for frame in self._frames(words) if frame in self._values]
        if not frames:
            return None
        start, end = max(frames, key=lambda frame: (self._values[frame], frame))
        spans = [match.span() for match in TOKEN.finditer(question)]
        return question[spans[len(start)][0] : spans[len(words) - len(end) - 1][1]]

    def _frames(self, words: Words) -> Iterator[QuestionFrame]:
        """Yields the frames around at least one word, whose sides are frequent."""
        starts = [words[:n] for n in _sides(words) if words[:n] in self._starts]
        ends = [words[::-1][:n] for n in _sides(words) if words[::-1][:n] in self._ends]
        for start in starts:
            for end in ends:
                inside = words[len(start) : len(words) - len(end)]
                if any(map(_is_word, inside)) and any(map(_is_word, start + end)):
                    yield start, end


def occurrences(name: str) -> re.Pattern[str]:
    """Returns the pattern of a name, or its English plural, as a separate word.

    >>> occurrences("cyst").findall("Cysts are not cystic.")
    ['s']
    """
    return re.compile(rf"(?<!\w){re.escape(name)}(?P<plural>s|es|)(?!\w)", re.IGNORECASE)


def _own_words(
    sides: Mapping[Words, int], everywhere: Mapping[str, int], least: float
) -> dict[Words, float]:
    """Returns, for each frequent side, how many of its words belong to it alone.

    A word counts as the share of its questions in which it has this place.
    """
    own: dict[Words, float] = {(): 0.0}
    for side in sorted(sides, key=len):
        if side and sides[side] >= least:
            share = sides[side] / everywhere[side[-1]] if _is_word(side[-1]) else 0.0
            own[side] = own[side[:-1]] + share
    return own


def _words(question: str) -> Words:
    return tuple(word.casefold() for word in TOKEN.findall(question))


def _sides(words: Words) -> range:
    return range(min(len(words), LONGEST + 1))


def _is_word(token: str) -> bool:
    return token[0].isalnum()
