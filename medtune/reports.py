"""What people read: rows of the score table, the HTML report and the model card.

All three, and the summary in the terminal, are made from the same flat metrics, so that no two of
them can disagree.
"""

import csv
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune import DISCLAIMER
from medtune.errors import InputError
from medtune.model_card import UNKNOWN_LICENCE, front_matter, package_of
from medtune.scores import SCORES, Score

TEMPLATES = Path(__file__).parent / "templates"
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "rouge-score", "sacrebleu")
HEADLINE_SCORES = ("rougeL", "perplexity")


@dataclass(frozen=True)
class ScoreRow:
    """One line of the score table, formatted. `verdict` is better, worse, changed or unclear."""

    name: str
    title: str
    base: str
    finetuned: str
    difference: str
    interval: str
    p_value: str
    outcome: str
    verdict: str


@dataclass(frozen=True)
class Facts:
    """All that a run has to tell.

    `params` are those of each section, `metrics` the flat metrics of each file, `curves` the (step,
    loss) points of each split; `answers` has one mapping per test record, worst regression first.
    """

    preset: str
    seed: int
    params: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    curves: dict[str, list[tuple[float, float]]]
    answers: list[dict[str, Any]]
    prompt: dict[str, Any]
    adapter: dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """A line chart in units of its SVG: ticks are (position, label), series are points by name."""

    width: int
    height: int
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    series: dict[str, str]


def score_rows(
    metrics: Mapping[str, Any], scores: Sequence[Score] = SCORES, prefix: str = ""
) -> list[ScoreRow]:
    """The score table of flat metrics: of compare.json, or with its prefix of a kind of cards.

    Scores that an older file does not hold are left out.
    """
    known = [score for score in scores if f"{prefix}{score.name}.base" in metrics]
    return [_score_row(metrics, score, f"{prefix}{score.name}") for score in known]


def _score_row(metrics: Mapping[str, Any], score: Score, key: str) -> ScoreRow:
    low, high = metrics[f"{key}.ci_low"], metrics[f"{key}.ci_high"]
    limits = [number(limit, score.digits, sign=True) for limit in (low, high)]
    p_value = metrics[f"{key}.p_value"]
    outcome = [metrics.get(f"{key}.{name}") for name in ("wins", "ties", "losses")]
    return ScoreRow(
        name=score.name,
        title=score.title,
        base=number(metrics[f"{key}.base"], score.digits),
        finetuned=number(metrics[f"{key}.finetuned"], score.digits),
        difference=number(metrics[f"{key}.difference"], score.digits, sign=True),
        interval="n/a" if low is None else " to ".join(limits),
        p_value="< 0.001" if p_value is not None and p_value < 0.001 else number(p_value, 3),
        outcome="" if None in outcome else " / ".join(str(count) for count in outcome),
        verdict=_verdict(score, low, high),
    )


def _verdict(score: Score, low: float | None, high: float | None) -> str:
    if low is None or high is None or low <= 0 <= high:
        return "unclear"
    if score.better == 0:
        return "changed"
    return "better" if low * score.better > 0 else "worse"


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Formats a metric; n/a where it is not defined."""
    if value is None or not math.isfinite(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def percent(share: float) -> str:
    return f"{100 * share:g}%"


def headline(metrics: Mapping[str, Any], confidence: float) -> str:
    """What the fine-tuning changed, in one or two sentences."""
    rows = [row for row in score_rows(metrics) if row.name in HEADLINE_SCORES]
    return " ".join(
        f"{row.title[0].upper()}{row.title[1:]} {_verb(row)}: {row.base} to {row.finetuned} "
        f"({row.difference}, {percent(confidence)} interval {row.interval})."
        for row in rows
    )


def _verb(row: ScoreRow) -> str:
    return {"better": "improved", "worse": "got worse"}.get(row.verdict, "did not clearly change")


def read_curve(path: Path) -> list[tuple[float, float]]:
    """The (step, loss) points of a CSV that the train stage writes."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro train") from None


def side_by_side(tables: dict[str, pa.Table]) -> list[dict[str, Any]]:
    """One mapping per test record with both answers, worst regression of ROUGE-L first."""
    rows = tables["base"].select(["id", "kind", "question", "reference"]).to_pylist()
    for model, table in tables.items():
        for row, text, score in zip(
            rows, table["prediction"].to_pylist(), table["rougeL"].to_pylist(), strict=True
        ):
            row |= {model: text, f"{model}_score": score}
    for row in rows:
        row["difference"] = row["finetuned_score"] - row["base_score"]
    return sorted(rows, key=lambda row: (row["difference"], row["id"]))


def line_chart(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Chart | None:
    """Scales loss curves to a chart; None where there is no finite point."""
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()
    }
    points = [point for series in finite.values() for point in series]
    if not points:
        return None
    from matplotlib.ticker import MaxNLocator

    width, height, left, bottom, top = 640, 240, 44, 34, 8
    x_values = MaxNLocator(6, integer=True).tick_values(0, max(x for x, _ in points))
    y_values = MaxNLocator(5).tick_values(0, max(y for _, y in points))

    def x_at(x: float) -> float:
        return round(left + (width - left - 16) * x / x_values[-1], 1)

    def y_at(y: float) -> float:
        return round(height - bottom - (height - bottom - top) * y / y_values[-1], 1)

    return Chart(
        width,
        height,
        [(x_at(x), f"{x:g}") for x in x_values],
        [(y_at(y), f"{y:g}") for y in y_values],
        {
            name: " ".join(f"{x_at(x)},{y_at(y)}" for x, y in series)
            for name, series in finite.items()
        },
    )


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name).partition("+")[0] for name in PACKAGES},
    }


def render_report(facts: Facts) -> str:
    return _render("report.html.jinja", facts, chart=line_chart(facts.curves))


def render_model_card(facts: Facts) -> str:
    return _render(
        "model_card.md.jinja", facts, front_matter=front_matter(facts.params, facts.metrics)
    )


def _render(template: str, facts: Facts, **more: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.jinja"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"cell": _cell, "number": number, "python": repr}
    download, compare = facts.params["download"], facts.metrics["compare"]
    kinds = sorted(
        key.removesuffix(".n") for key in facts.metrics["compare_kinds"] if key.endswith(".n")
    )
    shown = [score for score in SCORES if score.name in HEADLINE_SCORES]
    return environment.get_template(template).render(
        facts=facts,
        metrics=facts.metrics,
        rows=score_rows(compare),
        kinds={
            kind: score_rows(facts.metrics["compare_kinds"], shown, f"{kind}.") for kind in kinds
        },
        headline=headline(compare, facts.params["compare"]["confidence"]),
        confidence=percent(facts.params["compare"]["confidence"]),
        sources={name: (uri, package_of(uri)) for name, uri in download.items()},
        unknown_licence=UNKNOWN_LICENCE,
        versions=versions(),
        disclaimer=DISCLAIMER,
        **more,
    )


def _cell(value: Any) -> str:
    """Makes any value safe and plain in a cell of a Markdown table."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
