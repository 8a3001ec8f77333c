"""The guard's fixed texts; those about emergencies name the numbers to call in a region."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from medtune.guard.rules import HAN, normalized
from medtune.runtime.errors import InputError

TEXTS = Path(__file__).with_name("notices.toml")
NUMBERS = Path(__file__).with_name("emergency_numbers.toml")
SIGN = "⚠"  # begins each notice, so that it can be told from the words of a model
NO_REGION = "none"
FEWEST = 2  # distinct words of a language that tell it


@dataclass(frozen=True)
class Call:
    """A number to call, and what to write on its link."""

    label: str
    number: str


@dataclass(frozen=True)
class Notice:
    """An alert about an emergency: what it may be, what to do, and whom to call."""

    kind: str
    title: str
    text: str
    calls: tuple[Call, ...]

    @property
    def plain(self) -> str:
        """Returns all of it as one paragraph."""
        return f"{SIGN} {self.title}. {self.text}"


def regions() -> list[str]:
    return [name for name in _by_region() if name != NO_REGION]


def check_region(region: str | None) -> None:
    """Raises InputError if there are no numbers for a region."""
    if region is not None and region not in regions():
        known = ", ".join(regions())
        raise InputError(f"there are no numbers for the region {region}: choose from {known}")


def notice(kind: str, region: str | None = None, language: str | None = None) -> Notice:
    """Returns the notice for a kind of emergency, with a sentence in the language of a reader."""
    texts, numbers = _texts()["emergency"][kind], _numbers(region)
    text = texts["text"].format_map(numbers)
    if language:
        translated = _texts()["languages"][language]
        text += " " + translated["self_harm" if kind == "self_harm" else "emergency"]
    return Notice(kind, texts["title"], text, _calls(texts.get("also"), region))


def caution() -> str:
    return str(_texts()["caution"])


def support(region: str | None = None) -> str:
    """Returns a sentence for a reader in distress, to show after each answer."""
    return str(_texts()["support"].format_map(_numbers(region)))


def off_topic(scope: Literal["warn", "block"]) -> str:
    """Returns what guard.scope says about a question outside medicine."""
    return str(_texts()["off_topic"][scope])


def is_fixed(paragraph: str) -> bool:
    """Returns whether a paragraph is a text of this module, for whatever region and language."""
    beginnings = [_texts()["caution"], _texts()["support"].split("{")[0]]
    beginnings += [f"{SIGN} {each['title']}." for each in _texts()["emergency"].values()]
    whole = _texts()["off_topic"].values()
    return paragraph in whole or paragraph.startswith(tuple(beginnings))


def language_of(question: str) -> str | None:
    """Returns which covered language a question is in; None for English and all others."""
    if HAN.search(question):
        return "zh"
    words = set(" ".join(normalized(question)).split())
    counts = {
        code: len(words.intersection(language["words"].split()))
        for code, language in _texts()["languages"].items()
    }
    best = max(counts, key=lambda code: counts[code])
    english = len(words.intersection(_texts()["english"].split()))
    return best if counts[best] >= max(FEWEST, english + 1) else None


def _numbers(region: str | None) -> dict[str, str]:
    unknown = _by_region()[NO_REGION]
    numbers = _by_region()[region] if region else {}
    crisis, poison = (_named(line, numbers, " on ") for line in ("crisis", "poison"))
    return {
        "emergency": numbers.get("emergency", unknown["emergency"]),
        "crisis": f"call {crisis}" if crisis else unknown["crisis"],
        "poison": poison or unknown["poison"],
    }


def _named(line: str, numbers: dict[str, str], link: str) -> str:
    """Returns the name, number and hours of a line; the number once if the name contains it."""
    if not (number := numbers.get(line)):
        return ""
    name = numbers.get(f"{line}_name", "the poison centre")
    hours = f" ({numbers[f'{line}_hours']})" if f"{line}_hours" in numbers else ""
    return (name if number in name else f"{name}{link}{number}") + hours


def _calls(also: str | None, region: str | None) -> tuple[Call, ...]:
    if region is None:
        usual = _by_region()[NO_REGION]
        return (Call(usual["call_label"], usual["call"]),)
    numbers = _by_region()[region]
    calls = [Call(f"Call {numbers['emergency']}", numbers["emergency"])]
    if also in numbers:
        label = f"Call {_named(also, numbers, ': ')}"
        calls.append(Call(label, numbers[also].replace(" ", "")))
    return tuple(calls)


@cache
def _texts() -> dict[str, Any]:
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))


@cache
def _by_region() -> dict[str, dict[str, str]]:
    return tomllib.loads(NUMBERS.read_text(encoding="utf-8"))
