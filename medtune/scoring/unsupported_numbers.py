"""Finds numbers, doses and names with digits in an answer that no source supports.

A quantity is a number (`1,000`, `0.5`, `2,5 mg`, `1/10,000`, `1 in 10`, `120/80`, "thirty") with
the unit that follows (`5 mg`, `5mg/kg`, `20-year`, `2nd`, `1990s`). Values are compared in one unit
of each kind: 1 g is 1000 mg, 10% is 1 in 10, 5 mg daily is 5 mg per day. A name with digits (IL-6,
HbA1c, 22q11) has to stand in a source as it is. Numbers that count the items of a list are left
out, and so are "one", "the two" and "first" without a unit, which rarely count anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from medtune.scoring.numerals import PART, TENS, in_digits
from medtune.scoring.units import PATTERN_OF_UNITS, PER, TIMES, in_base_units, one_spelling
from medtune.scoring.word_splitting import with_spaces

Numbers = tuple[Fraction, ...]  # one number, or the two of a ratio such as 120/80

_SPACE = "\u00a0\u2009\u202f"  # that groups digits
_GROUPED = rf"\d{{1,3}}(?:[,{_SPACE}]\d{{3}})+(?:\.\d+)?"
_COMMA = rf"(?:\d+,\d{{1,2}}(?=\s?{PATTERN_OF_UNITS}(?![^\W_]))|0,\d+)"  # a decimal comma
_NUMBER = rf"(?:(?!0,){_GROUPED}|{_COMMA}|\d+(?:\.\d+)?|\.\d+)"
_LETTER = r"[^\W\d_]"
_RATIO = r"(?:\s?[/:]\s?|\s(?:in|per|out\sof)\s)"
PATTERN = re.compile(
    rf"(?P<number>{_NUMBER}(?:{_RATIO}{_NUMBER})?)"
    rf"(?:[\s-]?(?P<unit>{PATTERN_OF_UNITS}(?:{PER}{PATTERN_OF_UNITS})*)(?![^\W_])"
    rf"|(?![^\W_]|\.\d|[,\d]{{0,20}}-{_LETTER}))"  # 4-epimerase, 1,25-dihydroxyvitamin D: names
    r"|(?P<word>\w+(?:-\w+|\.\d\w*)*)"  # any other word, with what is attached to it
)
LIST_NUMBER = re.compile(r"^\s*\(?\d{1,2}[.)]\s", re.MULTILINE)
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "kappa": "κ", "omega": "ω"}
GREEK_NAME = re.compile(rf"(?<!{_LETTER})(?:{'|'.join(GREEK)})(?!{_LETTER})")
_NO_TENS = "".join(rf"(?<!{tens}[\s-])" for tens in TENS)  # before "one": twenty-one
PRONOUN = re.compile(
    rf"\bthe\stwo\b|{_NO_TENS}\b(?:one|first)\b"
    rf"(?!\s(?:{PATTERN_OF_UNITS}|hundred|thousand|million)\b"
    r"|\sin\s(?:\d|t|f|s|e|n)\w*\b|\sout\sof|\sper\s|\sand\sa\shalf"
    rf"|[\s-](?:{PART})\b)",
    re.IGNORECASE,
)
BOTH = re.compile(r"\bboth\b")
JOINED = ("-", "–", "—", "to", "and", "or")  # between numbers of one unit: "10 to 12 months"
SIMPLE = (2, 3, 4)  # denominators of parts of a unit: 1/2 tablet


@dataclass(frozen=True)
class Quantity:
    """A number with its unit: as it is written, and in base units; or a name, without numbers."""

    written: str
    numbers: Numbers
    value: Numbers
    unit: str


def unsupported(prediction: str, *sources: str) -> list[str]:
    """Returns the quantities and names of a prediction, in lower case, that no source has.

    A number with a unit needs that unit in a source, apart from "per day" and the like, which an
    answer may leave out; a number without a unit needs only the number. Number words and Roman
    numerals are returned in digits.

    >>> unsupported("0.005 g for 10 days in 2nd line, BRCA2", "5 mg daily, ten days", "BRCA1?")
    ['2nd', 'brca2']
    """
    texts = [_normalised(source) for source in sources]
    given = [quantity for text in texts for quantity in quantities(text)]
    numbers = {number for quantity in given for number in _numbers_given(quantity)}
    if any(BOTH.search(text) for text in texts):
        numbers.add((Fraction(2),))
    known = {reading for quantity in given for reading in _readings(quantity)}
    missing: dict[tuple[Numbers, str, str], str] = {}
    for said in quantities(_normalised(PRONOUN.sub("·", prediction))):
        if not said.numbers:
            supported = any(_stands_in(said.written, text) for text in texts)
        else:
            bare = not said.unit and said.numbers in numbers
            supported = bare or (said.value, said.unit) in known
        if not supported:
            name = "" if said.numbers else said.written
            missing.setdefault((said.value, said.unit, name), said.written)
    return list(missing.values())


def _normalised(text: str) -> str:
    text = one_spelling(in_digits(LIST_NUMBER.sub("", with_spaces(text))))
    return GREEK_NAME.sub(lambda match: GREEK[match[0]], text)


def quantities(text: str) -> list[Quantity]:
    """Returns the quantities and names of a text, normalised by in_digits and one_spelling.

    In a range the first number has the unit of the second: 10-12 months is 10 months, 12 months.
    """
    found: list[Quantity] = []
    start, unit = len(text), ""
    for match in reversed([*PATTERN.finditer(text)]):
        if match["word"]:
            if name := _name(match["word"]):
                found.append(Quantity(name, (), (), ""))
            continue
        if match["unit"]:
            unit = match["unit"]
        elif text[match.end() : start].strip() not in JOINED:
            unit = ""
        start = match.start()
        found.append(_quantity(match[0], match["number"], unit))
    return found[::-1]


def _quantity(written: str, number: str, unit: str) -> Quantity:
    numbers = tuple(map(_parsed, re.split(_RATIO, number)))
    if len(numbers) == 2 and 0 < numbers[0] < numbers[1] and (not unit or numbers[1] in SIMPLE):
        share = numbers[0] / numbers[1]  # 1 in 10 is 10%, and half a tablet is 1/2 tablet
        value, base = in_base_units(share, unit) if unit else (share, "%")
        return Quantity(written, numbers, (value,), base)
    if not unit:
        return Quantity(written, numbers, numbers, "")
    pairs = [in_base_units(one, unit) for one in numbers]
    return Quantity(written, numbers, tuple(value for value, _ in pairs), pairs[0][1])


def _parsed(number: str) -> Fraction:
    if re.fullmatch(_GROUPED, number) and not number.startswith("0,"):
        number = re.sub(f"[,{_SPACE}]", "", number)
    return Fraction(Decimal(number.replace(",", ".")))


def _name(word: str) -> str:
    """Returns the part of a word that has digits, with what they belong to; "" if it is no name.

    >>> [_name(word) for word in ("il-6-mediated", "21-hydroxylase-deficient", "hla-b27", "x-ray")]
    ['il-6', '21-hydroxylase', 'b27', '']
    """
    parts = word.split("-")
    holding = [n for n, part in enumerate(parts) if re.search(r"\d", part)]
    if not holding or not re.search(_LETTER, word):
        return ""
    first, last = holding[0], holding[-1]
    if re.fullmatch(r"[\d.]+", parts[first]) and first > 0:
        first -= 1
    elif re.fullmatch(r"[\d.]+", parts[last]):
        last += 1
    return "-".join(parts[first : last + 1])


def _stands_in(name: str, text: str) -> bool:
    """Whether a text has a name, with or without spaces, hyphens and points in it."""
    pieces = r"[\s.-]*".join(re.findall(rf"\d+|{_LETTER}+", name))
    return bool(re.search(rf"(?<![^\W_]){pieces}(?![^\W_])", text))


def _numbers_given(source: Quantity) -> Iterator[Numbers]:
    """Yields the numbers that a source supports if the answer gives them no unit."""
    if source.numbers:
        yield source.numbers
    else:
        yield from ((Fraction(digits),) for digits in re.findall(r"\d+", source.written))


def _readings(source: Quantity) -> Iterator[tuple[Numbers, str]]:
    """Yields the values and units that a source supports."""
    yield source.value, source.unit
    base, *per = source.unit.split("/")
    yield source.value, "/".join([base, *(unit for unit in per if unit not in TIMES)])
    if source.unit == "°c":
        yield source.numbers, "degree"
    if source.unit == "degree":  # Celsius or Fahrenheit
        for unit in ("°c", "°f"):
            yield tuple(in_base_units(number, unit)[0] for number in source.numbers), "°c"
