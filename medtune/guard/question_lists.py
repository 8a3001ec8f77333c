"""The lists of questions that the guard learns from and is tested on.

A list is a text file. A line is a question; `#` begins a comment. `part = knee | hip` defines words
for all lists of the folder; `why does my {part} hurt` is a template that uses one of them.
"""

import random
import re
from pathlib import Path

LISTS = Path(__file__).with_name("questions")
WORDS = re.compile(r"(\w+) = (.+)")
SLOT = re.compile(r"\{(\w+)\}")


def read_list(path: Path) -> list[str]:
    """Returns the lines of a list, without comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def words_of(folder: Path) -> dict[str, list[str]]:
    """Returns the words for templates, by name."""
    words: dict[str, list[str]] = {}
    for line in _lines(folder):
        if match := WORDS.fullmatch(line):
            words.setdefault(match[1], []).extend(match[2].split(" | "))
    return words


def questions(folder: Path, per_template: int) -> list[str]:
    """Returns the distinct questions of all lists of a folder, in order.

    A template gives `per_template` random questions; one that is only a word ("{drug}?") gives all.
    The draw depends only on the template and the words.
    """
    words = words_of(folder)
    templates = [line for line in _lines(folder) if not WORDS.fullmatch(line)]
    filled = (question for line in templates for question in _filled(line, words, per_template))
    return list(dict.fromkeys(filled))


def _lines(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.txt")) for line in read_list(path)]


def _filled(template: str, words: dict[str, list[str]], count: int) -> list[str]:
    if not (slots := SLOT.findall(template)):
        return [template]
    if SLOT.fullmatch(template.rstrip("?")):
        return [SLOT.sub(word, template) for word in words[slots[0]]]
    draw = random.Random(template)
    return [SLOT.sub(lambda slot: draw.choice(words[slot[1]]), template) for _ in range(count)]
