"""What a student knows: lists of common names, and names that other definitions mention."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

NAMES = Path(__file__).with_name("names")
WORD = re.compile(r"[a-z0-9'-]+")


@cache
def lines_of_list(name: str) -> tuple[str, ...]:
    """Returns the lines of a list in medtune/cards/names."""
    return tuple((NAMES / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def is_left_out(*texts: str) -> bool:
    """Returns whether a text has a term of names/left_out_terms.txt; `*` stands for any ending."""
    return any(_left_out().search(text) for text in texts)


@cache
def _left_out() -> re.Pattern[str]:
    terms = "|".join(term.replace("*", r"\w*") for term in lines_of_list("left_out_terms"))
    return re.compile(rf"\b(?:{terms})\b", re.IGNORECASE)


def count_mentions(names: Iterable[str], texts: Iterable[str]) -> Counter[str]:
    """Returns for each name, in lower case, how many texts mention it."""
    wanted = {tuple(WORD.findall(name.lower())): name.lower() for name in names}
    lengths: dict[str, set[int]] = defaultdict(set)  # of the names that begin with a word
    for first, *others in filter(None, wanted):
        lengths[first].add(1 + len(others))
    counts: Counter[str] = Counter()
    for text in texts:
        words = WORD.findall(text.lower())
        spans = {
            tuple(words[start : start + length])
            for start, word in enumerate(words)
            for length in lengths.get(word, ())
        }
        counts.update(wanted[span] for span in spans if span in wanted)
    return counts


class Capitals:
    """Knows the words that texts write with a capital inside a sentence: Babinski, EEG."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(re.findall(r"(?<=[a-z,] )[A-Za-z]+", text))
        self.counts = counts

    def lower_first(self, name: str) -> str:
        """Returns the name as it is written inside a sentence: "Cough, dry" is dry cough."""
        first, comma, second = name.partition(", ")
        if comma:
            name = f"{second} {self.lower_first(first)}"
        match = re.match("[A-Z][a-z]*", name)
        if not match or re.match("[A-Z]+[A-Z0-9]", name):
            return name
        word = match[0]
        is_name = self.counts[word] > self.counts[word.lower()]
        return name if is_name else name[:1].lower() + name[1:]
