"""The templates of report and model card, and how numbers are written in them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def environment(autoescape: bool) -> Any:
    """The templates in medtune/report/templates/ with the filters that they use."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    templates.filters |= {"cell": cell, "number": number, "python": repr}
    return templates


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Formats a metric; n/a where it is not defined."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def percent(share: float) -> str:
    return f"{100 * share:g}%"


def cell(value: Any) -> str:
    """Makes any value safe and plain in a cell of a Markdown table."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def markdown_table(rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A Markdown table whose columns align in a terminal too; the first row is the header.

    The first `texts` columns are aligned to the left, all others, which hold numbers, to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    adjust = [str.ljust if n < texts else str.rjust for n in range(len(widths))]
    rules = ["-" * w if n < texts else "-" * (w - 1) + ":" for n, w in enumerate(widths)]
    lines = [
        " | ".join(fit(text, width) for fit, text, width in zip(adjust, row, widths, strict=True))
        for row in (rows[0], rules, *rows[1:])
    ]
    return "\n".join(f"| {line} |" for line in lines)
