"""Rows of a table, and what of their cells is text."""

import math
import re
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

SURROGATE = re.compile("[\ud800-\udfff]")


def text_of(cell: object) -> str | None:
    """Returns a cell's text, or its number as text; None for all else (null, NaN, list …)."""
    if isinstance(cell, str):
        return SURROGATE.sub("\ufffd", cell)  # JSON can hold halves of characters; UTF-8 cannot
    if isinstance(cell, int) and not isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float | Decimal) and math.isfinite(cell):
        return str(cell)
    return None
