"""Corrects misspelt key words of emergencies, such as "breeth" and "siezure".

A word that the question lists do not know is replaced by a key word that differs by one letter
left out, added, exchanged or swapped with its neighbour. Short key words must have the same
letters, or one more or less, since too many other words differ from them by one letter.
"""

import re
from functools import cache
from pathlib import Path

from medtune.guard.question_lists import LISTS, read_list

SHORT = 5  # letters of the shortest key words
LISTED = re.compile(r"[a-z]+")
PATTERNS = Path(__file__).with_name("patterns")


def corrected(word: str) -> str:
    """Returns the key word that a word must be, or the word itself.

    >>> [corrected(word) for word in ("chset", "siezure", "breeth", "cheese")]
    ['chest', 'seizure', 'breath', 'cheese']
    """
    if len(word) < SHORT - 1 or not word.isascii() or not word.isalpha() or word in _known():
        return word
    near = (key for short in sorted(_shortened(word)) for key in _index().get(short, ()))
    return next((key for key in near if _is_near(word, key)), word)


def _is_near(word: str, key: str) -> bool:
    if abs(len(word) - len(key)) > 1 or word[0] != key[0]:
        return False
    return len(key) > SHORT or len(word) > len(key) or sorted(word) == sorted(key)


def _shortened(word: str) -> set[str]:
    """Returns a word, and the word without each of its letters."""
    return {word} | {word[:n] + word[n + 1 :] for n in range(len(word))}


@cache
def _key_words() -> list[str]:
    return read_list(PATTERNS / "key_words.txt")


@cache
def _index() -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for key in _key_words():
        for short in sorted(_shortened(key)):
            index.setdefault(short, []).append(key)
    return index


@cache
def _known() -> frozenset[str]:
    """Returns the words of the lists that are spelt well, and those of the other languages."""
    lists = [path for path in sorted((LISTS / "train").rglob("*.txt")) if _spells_well(path.stem)]
    own = (path for path in lists if path.parent.name != "found")
    words = {w for path in own for line in read_list(path) for w in LISTED.findall(line.casefold())}
    foreign = LISTED.findall((PATTERNS / "other_languages.toml").read_text(encoding="utf-8"))
    return frozenset(words | set(foreign) | set(_key_words()))


def _spells_well(name: str) -> bool:
    return name not in ("found", "misspelt", "singles")
