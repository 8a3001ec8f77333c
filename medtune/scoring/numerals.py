"""Writes the numbers of a text in digits, so that "thirty", "type II" and "fourth" can be compared.

Number words are English. A Roman numeral counts after a word such as "type" or "grade", and on its
own if it cannot be anything else: IV also means intravenous, X and V are letters.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from medtune.scoring.word_splitting import fold

# fmt: off
SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
    "ninth", "tenth", "eleventh", "twelfth",
)
ROMANS = (
    "", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV",
    "XV", "XVI",
)
# fmt: on
SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
PARTS = {
    "half": 2,
    "quarter": 4,
    **{ORDINALS[number]: number for number in range(3, len(ORDINALS))},
    "hundredth": 100,
    "thousandth": 1000,
}
FRACTIONS = PARTS | {f"{part}s": number for part, number in PARTS.items()} | {"halves": 2}
SMALL_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
VULGAR_FRACTIONS = {"½": "5", "¼": "25", "¾": "75"}  # digits after the point

_WORD = (
    rf"(?:(?:{'|'.join(TENS)})(?:[\s-](?:{'|'.join(SMALL[1:10])}))?|"
    rf"{'|'.join(sorted(SMALL, key=len, reverse=True))})"
)
PART = "|".join(PARTS)
_COUNTED = "type|grade|stage|class|factor|phase|category|group|level|degree|nerve|collagen|complex"
_SHARED_BY = "all|patients|cases|people|children|adults|women|men|those|them"
_ROMAN = re.compile(
    rf"(?P<what>\b(?i:{_COUNTED})(?i:s?)[\s-])"
    r"(?P<roman>[IVX]{1,4}(?=[A-Ea-e]?\b)|(?:ii|iii|iv|vi{1,3}|ix)\b)"
    r"|\b(?P<alone>II|III|VI{1,3}|IX|XI{1,3})(?=[A-Ca-c]?\b)"
)
_ROMAN_AFTER_A_NUMBER = re.compile(r"(?<=\d)(\s?[-–/]\s?|,?\s(?:and|or|to)\s)(I|IV|V|X)\b")
_PLAIN_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"


def in_digits(text: str) -> str:
    """Returns the text folded, with its numbers in digits.

    >>> in_digits("Type II in two-thirds of cases, thirty-five mg twice, the fourth")
    'type 2 in 2/3 of cases, 35 mg 2 times, the 4th'
    """
    text = _ROMAN.sub(_arabic, text)
    text = _ROMAN_AFTER_A_NUMBER.sub(lambda m: f"{m[1]}{ROMANS.index(m[2])}", text)
    text = fold(text).translate(SMALL_DIGITS)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _arabic(match: re.Match[str]) -> str:
    roman = (match["roman"] or match["alone"]).upper()
    what = (match["what"] or "").replace("-", " ")
    return f"{what}{ROMANS.index(roman)}" if roman in ROMANS else match[0]


def _cardinal(match: re.Match[str]) -> str:
    tens, *ones = re.split(r"[\s-]", match[0])
    if tens in TENS:
        return str(20 + 10 * TENS.index(tens) + sum(map(SMALL.index, ones)))
    return str(SMALL.index(tens))


def _ordinal(match: re.Match[str]) -> str:
    *tens, last = re.split(r"[\s-]", match[0])
    number = ORDINALS.index(last)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number, "th")
    return f"{sum(20 + 10 * TENS.index(word) for word in tens) + number}{ending}"


def _power(match: re.Match[str]) -> str:
    return "^" + "".join(str(RAISED.index(digit)) for digit in match[0])


def _scaled(match: re.Match[str]) -> str:
    number = Fraction(match["count"].replace("a", "1")) * SCALES[match["scale"]]
    return f"{int(number + int(match['rest'] or 0))}"


def _fraction(match: re.Match[str]) -> str:
    count = "1" if match["count"] in ("a", "one") else match["count"]
    return f"{count}/{FRACTIONS[match['part']]}"


def _vulgar_fraction(match: re.Match[str]) -> str:
    return f"{match[1] or '0'}.{VULGAR_FRACTIONS[match[2]]}"


_NO_NOUN = r"(?!\s(?!(?:the|as|to|and|or|in)\b)\w)"  # as in "one third molar"
_COUNT = rf"\b(?P<count>{_PLAIN_NUMBER}|a)\s(?P<scale>"
_HUNDREDS = _COUNT + r"hundred)\b(?:\s(?:and\s)?(?P<rest>\d{1,2})\b(?!\.\d))?"
_MILLIONS = _COUNT + r"thousand|million|billion)\b(?P<rest>)"
_TENTHS = rf"\b(?:{'|'.join(TENS)})[\s-](?:{'|'.join(ORDINALS[1:10])})\b"
_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(rf"\b({_COUNTED})-(?=\d)"), r"\1 "),
    (re.compile(r"(?<!\d)(\d+)?\s?([½¼¾])"), _vulgar_fraction),
    (re.compile(rf"(?<=\d)[{RAISED}]+"), _power),
    (re.compile(r"(?<![\d.])\d{1,3}(?: 000)+\b"), lambda m: m[0].replace(" ", "")),
    (re.compile(r"\ba dozen\b"), "12"),
    (re.compile(_TENTHS), _ordinal),
    (re.compile(rf"\b(?<!and\s)({_WORD})-?fold\b"), r"\1 fold"),
    (re.compile(rf"\b{_WORD}\b"), _cardinal),
    (re.compile(rf"\b(?P<count>a|\d+)[\s-](?P<part>(?:{PART})s?)(?=\sof\b)"), _fraction),
    (re.compile(rf"\b(?P<count>\d+)[\s-](?P<part>(?!half)(?:{PART})s)\b"), _fraction),
    (re.compile(rf"\b(?P<count>1)[\s-](?P<part>{PART})\b{_NO_NOUN}"), _fraction),
    (re.compile(rf"\bhalf(?:\sof)?(?=\s(?:the\s)?(?:{_SHARED_BY})\b)"), "1/2"),
    (re.compile(r"\b(\d+) and (?:a|1) half\b"), r"\1.5"),
    (re.compile(r"\bhalf an?\b"), "0.5"),
    (re.compile(_HUNDREDS), _scaled),
    (re.compile(_MILLIONS), _scaled),
    (re.compile(r"\btwice\b"), "2 times"),
    (re.compile(r"\bthrice\b"), "3 times"),
    (re.compile(rf"(?<!\d\s)(?<!\d-)(?<!\ba\s)(?<!per\s)\b(?:{'|'.join(ORDINALS)})\b"), _ordinal),
]
