"""Finds numbers and doses in a text, and those in an answer that no source supports.

A quantity is a number (`1,000`, `0.5`, `1/10,000`, `1 in 10`, `120/80`) with the unit that follows
(`5 mg`, `5mg/kg`, `20-year`, `2nd`, `1990s`). Digits in a name (IL-6, HbA1c, 13q14, 5-HT), numbers
that count the items of a list, and numbers in words are not quantities. A comma groups three
digits; 3,5 mg is read as 3 and 5 mg.
"""

import re
from decimal import Decimal

from medtune.scoring.words import fold

Quantity = tuple[tuple[Decimal, ...], str]  # (1, 10000), "": one number, or the two of a ratio

SPELLINGS = """
    % percent, ‰, th st nd rd, fold, times, kg kilogram, g gram, mg milligram, µg ug mcg microgram,
    ng nanogram, pg picogram, l liter litre, dl deciliter decilitre, ml milliliter millilitre cc,
    µl ul microliter microlitre, fl, m meter metre, cm centimeter centimetre, mm millimeter
    millimetre, µm um micrometer micrometre, nm nanometer nanometre, mol, mmol, µmol umol, nmol,
    pmol, iu, unit u, meq, mmhg, kcal, °c, °f, degree, hz, khz, db, kda, kb, bp, bpm, second sec,
    minute min, hour hr h, day, week wk, month mo, year yr, s, tablet, capsule, dose, drop, puff
"""
UNITS = {
    spelling: canonical
    for canonical, *others in (line.split() for line in fold(SPELLINGS).split(","))
    for spelling in (canonical, *others)
}
# fmt: off
NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)
# fmt: on

_NUMBER = r"(?:\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_UNIT = f"(?:{'|'.join(sorted(map(re.escape, UNITS), key=len, reverse=True))})s?"
_LETTER = r"[^\W\d_]"
PATTERN = re.compile(
    rf"(?P<number>{_NUMBER}(?:(?:\s?[/:]\s?|\s(?:in|per|out\sof)\s){_NUMBER})?)"
    rf"(?:[\s-]?(?P<unit>{_UNIT}(?:\s?(?:/|per\s)\s?{_UNIT})*)(?![^\W_])"
    rf"|(?![^\W_]|\.\d|[,\d]*-{_LETTER}))"  # 4-epimerase, 1,25-dihydroxyvitamin D: names
    r"|\w+(?:-\w+|\.\d\w*)*"  # any other word, with what is attached to it
)
LIST_NUMBER = re.compile(r"^\s*\(?\d{1,2}[.)]\s", re.MULTILINE)
NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(NUMBER_WORDS)})\b")


def unsupported(prediction: str, *sources: str) -> list[str]:
    """Returns the quantities of a prediction, in lower case, that are in none of the sources.

    1,000 equals 1000 and 1 in 10 equals 1/10. A number with a unit needs that unit in a source; a
    bare one needs only the number. Sources may spell out numbers up to twelve.

    >>> unsupported("Take 5 mg for 10 days in 2nd line.", "5 mg daily, ten days", "How much?")
    ['2nd']
    """
    given = {q for text in sources for q in quantities(NUMBER_WORD.sub(_digits, fold(text)))}
    values = {value for value, _ in given}
    return [
        written
        for (value, unit), written in quantities(prediction).items()
        if (value, unit) not in given and (unit or value not in values)
    ]


def quantities(text: str) -> dict[Quantity, str]:
    """Returns the quantities of a text in their order, and how each is first written.

    In a range the first number has the unit of the second: 10-12 months is 10 months, 12 months.
    """
    text = LIST_NUMBER.sub("", fold(text))
    found: list[tuple[Quantity, str]] = []
    start, unit = len(text), ""
    for match in reversed([match for match in PATTERN.finditer(text) if match["number"]]):
        if match["unit"]:
            unit = _canonical(match["unit"])
        elif text[match.end() : start].strip() not in ("-", "–", "—", "to"):
            unit = ""
        start = match.start()
        found.append(((_value(match["number"]), unit), match[0]))
    result: dict[Quantity, str] = {}
    for quantity, written in reversed(found):
        result.setdefault(quantity, written)
    return result


def _value(number: str) -> tuple[Decimal, ...]:
    separators = re.compile(r"[,\u00a0\u2009\u202f]")
    return tuple(Decimal(separators.sub("", part)) for part in re.findall(_NUMBER, number))


def _canonical(unit: str) -> str:
    parts = re.split(r"\s?(?:/|\bper\s)\s?", unit)
    return "/".join(UNITS.get(part) or UNITS[part.removesuffix("s")] for part in parts)


def _digits(match: re.Match[str]) -> str:
    return str(NUMBER_WORDS.index(match[0]))
