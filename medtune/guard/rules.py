"""Rules that find signs of an emergency, of distress, and questions about personal doses.

The rules are in `patterns/*.toml`, a file for each safeguard. It holds kinds, and a kind holds
rules. A rule is a list of regular expressions that must all match whole words of the question,
which is in lower case without accents, apostrophes and punctuation: "I can't breathe" is
"i cant breathe". Sentences that match one of `ignore` or `knowledge` (or of a kind's own `ignore`,
if it has one) do not count. Questions that match one of `unless` and none of `although` do not
count at all, except for self-harm. <name> stands for the alternatives of that name in words.toml.
A textbook question mentions no person: this distinguishes "What causes chest pain?" from "my chest
hurts".
"""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from medtune.guard.question_lists import LISTS, words_of
from medtune.guard.spelling import corrected

KINDS = ("emergency", "caution")
SELF_HARM = "self_harm"
MAX_CHARACTERS = 4000  # of a question; 32 KB of hostile text would take more than a second
PATTERNS = Path(__file__).with_name("patterns")
SENTENCE_END = re.compile(r"[?!;\n。！？；]|\.(?!\d)")
LETTERS = str.maketrans(
    {"1": "i", "!": "i", "3": "e", "0": "o", "$": "s", "@": "a", "4": "a", "*": ""}
)
DISGUISED = re.compile(r"(?<=[a-z])[1!30$@4*]+(?=[a-z])")  # as in su1cide and k!ll
SPELT_OUT = re.compile(r"(?<!\w)(?:[a-z][ .\-*_]){2,}[a-z](?!\w)")  # as in k.m.s and d i e
OVERDOSED = re.compile(r"\bo\.?d\.?['’`´]?e?d\b(?<!odd)(?<!oded)", re.IGNORECASE)  # OD'd
HAN = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True)
class RuleKind:
    """Rules that call for one text."""

    name: str
    ignore: re.Pattern[str]
    rules: dict[str, tuple[re.Pattern[str], ...]]

    def reasons(self, text: str) -> list[str]:
        """Returns the names of the rules that match the sentences that count."""
        return [name for name, rule in self.rules.items() if all(p.search(text) for p in rule)]


@dataclass(frozen=True)
class Safeguard:
    """The kinds of a file, the most urgent first."""

    unless: re.Pattern[str] | None
    although: re.Pattern[str] | None
    knowledge: re.Pattern[str] | None
    kinds: list[RuleKind]

    def reasons(self, sentences: list[str]) -> dict[str, str]:
        """Returns the names of the rules that match, each with its kind."""
        excluded = self.excludes(sentences)
        kinds = [kind for kind in self.kinds if kind.name == SELF_HARM or not excluded]
        patterns = {id(kind.ignore): kind.ignore for kind in kinds}  # most kinds share one pattern
        counted = {
            key: " ".join(line for line in sentences if not ignore.search(line))
            for key, ignore in patterns.items()
        }
        return {
            rule: kind.name for kind in kinds for rule in kind.reasons(counted[id(kind.ignore)])
        }

    def excludes(self, sentences: list[str]) -> bool:
        text = " ".join(sentences)
        if self.although and self.although.search(text):
            return False
        return bool(self.unless and self.unless.search(text))


def reasons(safeguard: str, question: str) -> dict[str, str]:
    """Returns the rules of a safeguard that a question matches, each with its kind, in order."""
    return load(safeguard).reasons(normalized(question))


def kind_of(safeguard: str, question: str) -> str | None:
    """Returns the most urgent kind of which a rule matches."""
    return next(iter(reasons(safeguard, question).values()), None)


def is_excluded(safeguard: str, question: str, kind: str | None = None) -> bool:
    """Returns whether only rules may find a question, as it is an exam case, history or the like.

    Exam cases are excluded from the rules, too. Self-harm has its own list of sentences that do
    not count: "if somebody took 40 of these" may be asked for oneself.
    """
    found, sentences = load(safeguard), normalized(question)
    if kind == SELF_HARM:
        ignore = next(each.ignore for each in found.kinds if each.name == SELF_HARM)
        return all(ignore.search(line) for line in sentences)
    known = found.knowledge
    past = known and bool(sentences) and all(known.search(line) for line in sentences)
    return bool(past) or found.excludes(sentences)


@lru_cache(512)
def _normalized(question: str) -> tuple[str, ...]:
    text = OVERDOSED.sub("overdosed", question[:MAX_CHARACTERS])
    text = re.sub("['’`´]", "", text.casefold().replace("œ", "oe"))
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not _is_invisible(c))
    text = SPELT_OUT.sub(lambda match: re.sub(r"\W|_", "", match[0]), text)
    text = DISGUISED.sub(lambda match: match[0].translate(LETTERS), text)
    sentences = (re.sub(r"[^\w.]|_", " ", line).split() for line in SENTENCE_END.split(text))
    return tuple(" ".join(map(corrected, words)) for words in sentences if words)


def _is_invisible(character: str) -> bool:
    """Returns whether a character is an accent or has no width, as some hide in a word."""
    return bool(unicodedata.combining(character)) or unicodedata.category(character) == "Cf"


def normalized(question: str) -> list[str]:
    """Returns the sentences in lower case without punctuation; the point in 38.5 is kept.

    >>> normalized("I CAN'T breathe!! It's 38.5.")
    ['i cant breathe', 'its 38.5']
    """
    return list(_normalized(question))


def medicine_names() -> list[str]:
    lists = words_of(LISTS / "train/medical")
    names = {" ".join(normalized(name)) for key in ("drug", "brand") for name in lists[key]}
    return sorted(names | {name.casefold() for name in lists["supplement"]})


@cache
def load(safeguard: str) -> Safeguard:
    content = _read(f"{safeguard}.toml")
    names = ("unless", "although", "knowledge")
    unless, although, knowledge = (_any_of(content.get(name, [])) for name in names)
    usual = _compiled("|".join(content["knowledge"] + content["ignore"]))
    kinds = [
        RuleKind(
            name=name,
            ignore=_compiled("|".join(kind["ignore"])) if "ignore" in kind else usual,
            rules={rule: tuple(map(_compiled, parts)) for rule, parts in kind["rules"].items()},
        )
        for name, kind in content["kinds"].items()
    ]
    if safeguard == "emergency":
        kinds += _in_other_languages()
        kinds.sort(key=lambda kind: kind.name != SELF_HARM)  # a wish to die comes first
    return Safeguard(unless, although, knowledge, kinds)


def _any_of(patterns: list[str]) -> re.Pattern[str] | None:
    return _compiled("|".join(patterns)) if patterns else None


def _in_other_languages() -> list[RuleKind]:
    content = _read("other_languages.toml")
    ignore = re.compile("|".join(_compiled(p).pattern for p in content.pop("ignore")["any"]))
    return [
        RuleKind(
            name=kind,
            ignore=ignore,
            rules={
                f"{kind} in {language}": (_compiled("|".join(parts)),)
                for language, parts in languages.items()
            },
        )
        for kind, languages in content.items()
    ]


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((PATTERNS / name).read_text(encoding="utf-8"))


@cache
def _words() -> dict[str, str]:
    words = {name: "".join(text.splitlines()) for name, text in _read("words.toml").items()}
    return words | {"names": "|".join(re.escape(name) for name in medicine_names())}


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiles a pattern for whole words; Chinese has no spaces between words."""

    def expanded(part: str) -> str:
        return re.sub("<(\\w+)>", lambda name: f"(?:{expanded(_words()[name[1]])})", part)

    whole = expanded("".join(pattern.splitlines()))
    return re.compile(whole if HAN.search(whole) else rf"\b(?:{whole})\b")
