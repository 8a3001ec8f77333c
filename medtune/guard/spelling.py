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
KEY_WORDS = """
breath breathe breathing choking chest heart attack stroke suicide myself yourself himself
unconscious unresponsive collapsed fainted seizure convulsion bleeding vomiting swallowed overdose
overdosed poisoned pills tablets sleeping paracetamol swollen swelling tongue throat allergic
anaphylactic pregnant newborn fever temperature confused slurred drooping droopy paralysed sweating
pressure severe suddenly sudden ambulance emergency diabetic insulin ketones blood antifreeze bleach
detergent battery asthma inhaler wheezing gasping purple stiff stabbed electrocuted scalding blister
daughter toddler
""".split()
LISTED = re.compile(r"[a-z]+")
OTHER_LANGUAGES = Path(__file__).with_name("patterns") / "other_languages.toml"


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
def _index() -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for key in KEY_WORDS:
        for short in sorted(_shortened(key)):
            index.setdefault(short, []).append(key)
    return index


@cache
def _known() -> frozenset[str]:
    """Returns the words of the lists that are spelt well, and those of the other languages."""
    lists = [path for path in sorted((LISTS / "train").rglob("*.txt")) if _spells_well(path.stem)]
    own = (path for path in lists if path.parent.name != "found")
    words = {w for path in own for line in read_list(path) for w in LISTED.findall(line.casefold())}
    foreign = LISTED.findall(OTHER_LANGUAGES.read_text(encoding="utf-8"))
    return frozenset(words | set(foreign) | set(KEY_WORDS))


def _spells_well(name: str) -> bool:
    return name not in ("found", "misspelt", "singles")
