"""Fills the templates of the report and the model card, and makes Markdown tables."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medtune.comparison.verdict import sample
from medtune.disclaimer import DISCLAIMER
from medtune.report.facts import Facts
from medtune.report.headline import headline
from medtune.report.number_formats import number, percent
from medtune.report.result_table import COLUMNS, result_rows
from medtune.report.run_facts import versions
from medtune.report.score_rows import against_base, choice_rows

TEMPLATES = Path(__file__).parent / "templates"


def environment(autoescape: bool) -> Any:
    """Returns a Jinja environment for medtune/report/templates/, with the filters they use."""
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


def cell(value: Any) -> str:
    """Makes any value safe in a cell of a Markdown table."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def markdown_table(rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Returns a Markdown table that also lines up in a terminal; the first row is the header.

    The first `texts` columns are left-aligned; the others hold numbers and are right-aligned.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    adjust = [str.ljust if n < texts else str.rjust for n in range(len(widths))]
    rules = ["-" * w if n < texts else "-" * (w - 1) + ":" for n, w in enumerate(widths)]
    lines = [
        " | ".join(fit(text, width) for fit, text, width in zip(adjust, row, widths, strict=True))
        for row in (rows[0], rules, *rows[1:])
    ]
    return "\n".join(f"| {line} |" for line in lines)


def render(template: str, facts: Facts, **more: Any) -> str:
    """Fills a template with the facts and with what the report and the model card share."""
    compare, confidence = facts.metrics["compare_scores"], facts.confidence
    filled = environment(autoescape=template.endswith(".html.jinja")).get_template(template)
    return filled.render(
        facts=facts,
        metrics=facts.metrics,
        columns=COLUMNS,
        result_rows=result_rows(facts.metrics["compare_systems"], facts.params),
        rows=against_base(facts.metrics, confidence, facts.scores),
        choices=choice_rows(compare, confidence),
        headline=headline(facts.metrics, facts.params),
        confidence=percent(confidence),
        sample=sample(compare["n"], compare["groups"]),
        versions=versions(),
        disclaimer=DISCLAIMER,
        **more,
    )
