"""Rules that find signs of an emergency and questions about personal doses.

Rules and notices are in rules_and_notices.toml, which explains the format;
`medtune.guard.classifier` adds classifiers trained on phrasings.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medtune.guard.question_lists import LISTS, words_of

KINDS = ("emergency", "caution")
MAX_CHARACTERS = 4000  # of a question; 32 KB of hostile text would take more than a second
RULES = Path(__file__).with_name("rules_and_notices.toml")


@dataclass(frozen=True)
class Kind:
    """One kind of safeguard: its message and its rules, as rules_and_notices.toml explains them."""

    message: str
    unless: re.Pattern[str]
    ignore: re.Pattern[str]
    never_ignored: list[str]
    rules: dict[str, tuple[re.Pattern[str], ...]]

    def reasons(self, sentences: list[str]) -> list[str]:
        if self.excludes(sentences):
            return []
        everything = " ".join(sentences)
        counted = " ".join(line for line in sentences if not self.ignore.search(line))
        texts = {name: everything if name in self.never_ignored else counted for name in self.rules}
        return [n for n, rule in self.rules.items() if all(p.search(texts[n]) for p in rule)]

    def excludes(self, sentences: list[str]) -> bool:
        return self.unless.search(" ".join(sentences)) is not None


def reasons(kind: str, question: str) -> list[str]:
    """Returns the names of the rules of a kind, emergency or caution, that a question matches."""
    return load_kinds()[kind].reasons(normalized(question))


def is_excluded(kind: str, question: str) -> bool:
    """Returns whether no rule of a kind may find a question, as it is an exam case or the like."""
    return load_kinds()[kind].excludes(normalized(question))


def message(kind: str) -> str:
    """Returns the fixed text to show before (emergency) or after (caution) an answer."""
    return load_kinds()[kind].message


def normalized(question: str) -> list[str]:
    """Returns the sentences in lower case without punctuation; the point in 38.5 is kept.

    >>> normalized("I CAN'T breathe!! It's 38.5.")
    ['i cant breathe', 'its 38.5']
    """
    text = re.sub("['’`´]", "", question[:MAX_CHARACTERS].casefold())
    sentences = re.split(r"[?!;\n]|\.(?!\d)", text)
    words = (" ".join(re.sub(r"[^\w.]|_", " ", sentence).split()) for sentence in sentences)
    return [sentence for sentence in words if sentence]


def medicine_names() -> list[str]:
    lists = words_of(LISTS / "train/medical")
    names = {" ".join(normalized(name)) for key in ("drug", "brand") for name in lists[key]}
    return sorted(names | {name.casefold() for name in lists["supplement"]})


@cache
def load_kinds() -> dict[str, Kind]:
    content = tomllib.loads(RULES.read_text(encoding="utf-8"))
    words = {name: "".join(text.splitlines()) for name, text in content.pop("words").items()}
    words["names"] = "|".join(re.escape(name) for name in medicine_names())

    def expanded(pattern: str) -> str:
        return re.sub("<(\\w+)>", lambda name: f"(?:{expanded(words[name[1]])})", pattern)

    def compiled(pattern: str) -> re.Pattern[str]:
        return re.compile(rf"\b(?:{expanded(''.join(pattern.splitlines()))})\b")

    return {
        name: Kind(
            message=kind["message"],
            unless=compiled("|".join(kind["unless"])),
            ignore=compiled("|".join(kind["ignore"])),
            never_ignored=kind["never_ignored"],
            rules={
                rule: tuple(compiled(pattern) for pattern in patterns)
                for rule, patterns in kind["rules"].items()
            },
        )
        for name, kind in content.items()
    }
