"""Formats numbers for people: metrics, intervals, p-values and percentages."""

import math


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Formats a metric; an undefined one becomes n/a, and what rounds to zero has no sign."""
    if value is None or not math.isfinite(value):
        return "n/a"
    rounded = round(value, digits) + 0.0  # -0.0 becomes 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}"


def interval_text(low: float | None, high: float | None, digits: int) -> str:
    """Formats an interval of a difference, "+0.010 to +0.110"."""
    ends = [number(end, digits, sign=True) for end in (low, high)]
    return "n/a" if "n/a" in ends else " to ".join(ends)


def p_text(p_value: float | None) -> str:
    return "< 0.001" if p_value is not None and p_value < 0.001 else number(p_value, 3)


def percent(share: float) -> str:
    return f"{100 * share:g}%"
