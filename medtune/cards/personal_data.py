"""Finds personal data by its form: e-mail addresses, phone, national id and record numbers.

It misses some numbers rather than mistake doses, ranges, codes and article numbers for phone
numbers: a number needs a label ("Tel.", "MRN"), a distinctive form or valid check digits. Names and
postal addresses are not detected.
"""

import re
from collections.abc import Callable
from functools import partial

Check = Callable[[str], bool]

KINDS = ("email", "phone", "national_id", "record_number")

# Every form but e-mail has four digits, with at most two other characters between neighbours.
NUMBER = re.compile(r"[0-9](?:[ .()/-]{0,2}[0-9]){3}")
START, END = r"(?<![\w.,/+-])", r"(?!\w|[.,/-][0-9])"

EMAIL = r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}"
RECORD_NUMBER = (
    r"(?P<label>\b(?:MRN|(?:medical|health|hospital|patient) records? (?:number|no|id)"
    r"|(?:hospital|patient|chart) (?:number|no|id))\b(?: is)?[ :#.]{1,3})"
    rf"(?=[A-Z-]{{0,4}}[0-9][0-9-]{{4}})[A-Z0-9-]+{END}"
)
SSN = rf"{START}[0-9]{{3}}-[0-9]{{2}}-[0-9]{{4}}{END}"
LABELLED_SSN = (
    r"(?P<label>\b(?:SSN|social security (?:number|no))\b(?: is)?[ :#.]{1,3})"
    rf"[0-9]{{3}}[ -]?[0-9]{{2}}[ -]?[0-9]{{4}}{END}"
)
NHS = rf"{START}[0-9]{{3}} [0-9]{{3}} [0-9]{{4}}{END}"
LABELLED_NHS = (
    r"(?P<label>\bNHS(?: (?:number|no))?\b(?: is)?[ :#.]{1,3})"
    rf"[0-9]{{3}}[ -]?[0-9]{{3}}[ -]?[0-9]{{4}}{END}"
)
CPF = rf"{START}[0-9]{{3}}\.[0-9]{{3}}\.[0-9]{{3}}-[0-9]{{2}}{END}"
NIR = rf"{START}[12] ?[0-9]{{2}} ?[0-9]{{2}} ?[0-9][0-9AB] ?[0-9]{{3}} ?[0-9]{{3}} ?[0-9]{{2}}{END}"
LABELLED_PHONE = (
    r"(?P<label>\b(?:tel|telephone|phone|mobile|fax|call|hotline|helpline|whatsapp)\b"
    r"(?: (?:number|no))?[ :.]{0,3}(?:(?:is|us|at|on) ){0,2})"
    rf"\+?\(?[0-9](?:[ .()/-]{{0,2}}[0-9]){{6,14}}{END}"
)
PHONES = (  # as in +44 20 7946 0958, (301) 496-5248, 1-800-4-CANCER, 020 7946 0958
    r"\+[1-9][0-9]{0,2}[ -]?(?:\([0-9]{1,4}\)[ .-]?)?[0-9](?:[ .-]?[0-9]){5,11}",
    r"(?:1[ .-])?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}",
    r"(?:1[ .-])?[2-9][0-9]{2}(?P<mark>[.-])[2-9][0-9]{2}(?P=mark)[0-9]{4}",
    r"(?:1[ .-])?8(?:00|33|44|55|66|77|88)[ .-][0-9A-Z](?:-?[0-9A-Z]){6}",
    r"\(?0[1-9][0-9]{1,3}\)?[ -][0-9]{3,4}[ -]?[0-9]{3,4}",
)


def mask_personal_data(text: str) -> tuple[str, list[str]]:
    """Returns the text with each find replaced by "[email]" or the like, and the finds' kinds."""
    found: list[str] = []
    has_number = NUMBER.search(text) is not None
    for kind, pattern, check in FORMS:
        if "@" in text if kind == "email" else has_number:
            text = pattern.sub(partial(_mask, kind, check, found), text)
    return text, found


def _mask(kind: str, check: Check, found: list[str], match: re.Match[str]) -> str:
    label = match.groupdict().get("label") or ""
    if not check(match[0].removeprefix(label)):
        return match[0]
    found.append(kind)
    return f"{label}[{kind.replace('_', ' ')}]"


def _any(number: str) -> bool:
    return True


def _is_ssn(number: str) -> bool:
    """Rejects areas 000, 666 and 900 to 999, group 00 and serial 0000: never assigned (ssa.gov)."""
    digits = _digits(number)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_nhs_number(number: str) -> bool:
    """Checks the last of ten digits by modulus 11 (datadictionary.nhs.uk, NHS NUMBER)."""
    digits = [int(digit) for digit in _digits(number)]
    weighted = sum(weight * digit for weight, digit in zip(range(10, 1, -1), digits, strict=False))
    return len(set(digits)) > 1 and (weighted + digits[9]) % 11 == 0


def _is_cpf(number: str) -> bool:
    """Checks the last two of the 11 digits of Brazil's taxpayer number by modulus 11."""
    digits = [int(digit) for digit in _digits(number)]
    checks = [
        sum(weight * digit for weight, digit in zip(range(count + 1, 1, -1), digits, strict=False))
        * 10
        % 11
        % 10
        for count in (9, 10)
    ]
    return len(set(digits)) > 1 and checks == digits[9:]


def _is_nir(number: str) -> bool:
    """Checks France's social security number: 13 digits, then 97 minus their value modulo 97.

    Corsica's 2A and 2B count as 19 and 18.
    """
    digits = number.replace(" ", "").upper().replace("2A", "19").replace("2B", "18")
    return digits.isdigit() and int(digits[:13]) % 97 + int(digits[13:]) == 97


def _digits(number: str) -> str:
    return re.sub("[^0-9]", "", number)


# The first match wins. Labels match in any case, letters of phone numbers only as capitals.
FORMS: list[tuple[str, re.Pattern[str], Check]] = [
    ("email", re.compile(EMAIL), _any),
    ("record_number", re.compile(RECORD_NUMBER, re.IGNORECASE), _any),
    ("national_id", re.compile(LABELLED_SSN, re.IGNORECASE), _is_ssn),
    ("national_id", re.compile(SSN), _is_ssn),
    ("national_id", re.compile(LABELLED_NHS, re.IGNORECASE), _is_nhs_number),
    ("national_id", re.compile(NHS), _is_nhs_number),
    ("national_id", re.compile(CPF), _is_cpf),
    ("national_id", re.compile(NIR), _is_nir),
    ("phone", re.compile(LABELLED_PHONE, re.IGNORECASE), _any),
    *(("phone", re.compile(f"{START}{phone}{END}"), _any) for phone in PHONES),
]
