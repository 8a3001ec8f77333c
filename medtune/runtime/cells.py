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
        return str(cell)
    return None
