"""Rows of a table, and the text of their cells."""

import math
import re
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

SURROGATE = re.compile("[\ud800-\udfff]")


def text_of(cell: object) -> str | None:
    """Returns a cell's text, or its number as text; None for anything else (null, NaN, list …)."""
    if isinstance(cell, str):
        return SURROGATE.sub("\ufffd", cell)  # JSON allows lone surrogates; UTF-8 does not
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float | Decimal) and math.isfinite(cell):
        return str(int(cell)) if isinstance(cell, float) and _is_whole(cell) else str(cell)
    return None


def label_of(cell: object) -> str:
    """Returns a cell's text on one line with single blanks, or "" for anything else."""
    return " ".join((text_of(cell) or "").split())


def _is_whole(number: float) -> bool:
    """Returns whether a float stands for an integer, as all do in a column that lacks a value."""
    return number.is_integer() and abs(number) < 2**53
