"""Units of medicine: how they are spelled, and how many base units they are.

`unsupported_numbers` needs exact factors and a closed list of spellings, so that "10 in" is no
inch. A library of units such as pint would need that list too, and knows neither doses nor "daily".
"""

import re
from fractions import Fraction
from typing import NamedTuple

from medtune.scoring.word_splitting import fold

# Base unit: spellings of a unit and how many base units it is, comma, the next unit.
SCALES = {
    "g": """kg kilogram kilogramme 1e3, g gram gramme gm 1, mg milligram milligramme 1e-3,
        µg ug mcg microgram 1e-6, ng nanogram 1e-9, pg picogram 1e-12""",
    "l": """l liter litre 1, dl deciliter decilitre 0.1, ml milliliter millilitre cc 1e-3,
        µl ul microliter microlitre 1e-6, fl 1e-15""",
    "m": """m meter metre 1, cm centimeter centimetre 1e-2, mm millimeter millimetre 1e-3,
        µm um micrometer micrometre 1e-6, nm nanometer nanometre 1e-9""",
    "m²": "m² 1",
    "mol": """mol 1, mmol millimole 1e-3, µmol umol micromole 1e-6, nmol nanomole 1e-9,
        pmol picomole 1e-12""",
    "eq": "meq 1e-3",
    "second": "second sec 1, minute min 60, hour hr h 3600, day 86400, week wk 604800",
    "month": "month mo 1, year yr 12",
    "%": "% percent 1e-2, ‰ 1e-3",
    "hz": "hz 1, khz 1e3",
    "bp": "kb 1e3, bp 1",
    "times": "times time fold 1",
    "unit": "unit u iu 1",
}
OTHERS = """
    th st nd rd, mmhg, kcal, °c, °f, degree, db, kda, bpm, s, tablet pill, capsule, dose, drop, puff
"""


class Unit(NamedTuple):
    """A unit, and how many base units it is."""

    name: str
    base: str
    factor: Fraction


def _units() -> dict[str, Unit]:
    found: dict[str, Unit] = {}
    for base, text in SCALES.items():
        for unit in fold(text).split(","):
            *spellings, factor = unit.split()
            found |= dict.fromkeys(spellings, Unit(spellings[0], base, Fraction(factor)))
    for unit in OTHERS.split(","):
        name, *others = unit.split()
        found |= dict.fromkeys([name, *others], Unit(name, name, Fraction(1)))
    return found


UNITS = _units()  # by spelling
TIMES = {unit.name for unit in UNITS.values() if unit.base in ("second", "month")}
PATTERN_OF_UNITS = f"(?:{'|'.join(sorted(map(re.escape, UNITS), key=len, reverse=True))})s?"
PER = r"\s?(?:/|\bper\s)\s?"
_PER = re.compile(PER)
_PERIOD = "second|minute|hour|day|week|month|year"
_SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bmm\s?hg\b|\bmillimet(?:er|re)s? of mercury\b", "mmhg"),
        (r"℃|º\s?c\b|(?:°|\bdeg(?:rees?)?\.?)\s?(?:celsius|centigrade|c)\b", "°c"),
        (r"℉|º\s?f\b|(?:°|\bdeg(?:rees?)?\.?)\s?(?:fahrenheit|f)\b", "°f"),
        (r"(?<=\d)\s?°(?![cf])", " degree"),
        (r"\bper\scent\b|％", "percent"),
        (r"\binternational units?\b|\bi\.u\.", "iu"),
        (r"\bm2\b|\bsquare\smet(?:er|re)s?\b", "m²"),
        (r"\s(?:of\s)?body\s?(?:weight|mass)\b", ""),
        (r"\bbeats\s?(?:/|per\s)\s?min(?:ute)?\b", "bpm"),
        (rf"(?<=\d)\s?[x×]\s(?=daily\b|weekly\b|(?:per|an?|each|every)\s(?:{_PERIOD})\b)",
         " times "),
        (r"\bq\.?\s?(\d+)\s?h(?:rs?|ours?)?\b\.?", r"every \1 hours"),
        (r"\bb\.?i\.?d\b\.?|\bb\.d\.", "2 times /day"),
        (r"\bt\.?i\.?d\b\.?|\bt\.d\.s\.", "3 times /day"),
        (r"\bq\.?i\.?d\b\.?", "4 times /day"),
        (r"\bq\.?d\b\.?", "/day"),
        (rf"\b(?:once\s)?(?:per|an?|each|every)\s({_PERIOD})\b", r"/\1"),
        (r"\b(?:once\s)?daily\b|(?<=g)/d\b", "/day"),
        (r"\b(?:once\s)?(hour|week|month|year)ly\b", r"/\1"),
        (r"\b(?:once\s)?annually\b", "/year"),
        (r"(?<=\d)\ss\b", " sec"),
        (r"\bby\smouth\b|\borally\b", ""),
        (rf"\bage[ds]?\s(?:of\s)?(\d+)\b(?!\s?(?:-|–|to|and|or|,)?[\s-]?(?:\d|{PATTERN_OF_UNITS}\b))",
         r"\1 years"),
    )
]  # fmt: skip


def one_spelling(text: str) -> str:
    """Returns a folded text with one spelling of units and rates.

    >>> one_spelling("140 mm hg, 5 mg once daily, 3 times a day, 37 degrees celsius")
    '140 mmhg, 5 mg /day, 3 times /day, 37 °c'
    """
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text


def in_base_units(number: Fraction, unit: str) -> tuple[Fraction, str]:
    """Returns a number and its unit in base units, but for times that it is per.

    >>> in_base_units(Fraction(5), "mg/ml per day")
    (Fraction(5, 1), 'g/day/l')
    """
    if unit == "°f":
        return (number - 32) * 5 / 9, "°c"
    first, *others = (UNITS.get(part) or UNITS[part.removesuffix("s")] for part in _PER.split(unit))
    number *= first.factor
    for other in others:
        number /= 1 if other.name in TIMES else other.factor
    names = sorted(other.name if other.name in TIMES else other.base for other in others)
    return number, "/".join([first.base, *names])
