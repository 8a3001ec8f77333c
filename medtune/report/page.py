"""The HTML report: one file that needs no network, made of the sections that have data."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medtune.comparison.breakdowns import KIND_SCORES, OTHER_TOPICS
from medtune.comparison.significance import fewest_groups, too_few_groups
from medtune.report.answer_rows import answer_row
from medtune.report.costs import run_mark
from medtune.report.facts import Facts
from medtune.report.figures import DrawnPicture
from medtune.report.headline import groups_of_verdict, primary_scores
from medtune.report.number_formats import number
from medtune.report.rendering import TEMPLATES, render
from medtune.report.result_table import FIRST_SCORES, result_rows
from medtune.report.score_rows import ScoredPart, against_base, choice_rows, parts
from medtune.report.system_tables import all_systems, main_scores_of, tuning_and_retrieval
from medtune.scoring.scores import SCORES

SECTIONS = {  # templates in medtune/report/templates/sections/, in the order of the page
    "systems": "Against answers without training",
    "scores": "Against the base model",
    "run": "What was run",
    "data": "Data",
    "tokens": "What the loss sees",
    "training": "Training",
    "breakdowns": "Scores by kind, topic and length",
    "answers": "Answers side by side",
    "judge": "A judge's opinion",
    "votes": "Votes of people",
    "general": "Questions outside the data",
    "forgetting": "Knowledge and forgetting",
    "cost": "Cost",
    "reading": "How to read the scores",
}
WORK = ("steps", "tokens", "trainable parameters", "trainable percent")
SCRIPTS = ("answer_search.js", "page.js")  # joined; the second one starts the page
OUTCOMES = ("better", "worse", "same")


class IntervalAxis:
    """One axis for the intervals of several rows, so that they can be compared by eye.

    >>> IntervalAxis([-0.1, 0.3]).at(0.0)
    25.0
    """

    def __init__(self, values: Sequence[float]) -> None:
        self.low, self.high = min(0.0, *values), max(0.0, *values)

    def at(self, value: float) -> float:
        """Returns a value's position in percent of the axis, which includes zero."""
        return round(100 * (value - self.low) / ((self.high - self.low) or 1.0), 1)


@dataclass(frozen=True)
class PartTable:
    """One table of parts of the test set; `what` is the heading of its first column."""

    what: str
    rows: list[ScoredPart]
    axis: IntervalAxis


def render_report(facts: Facts, pictures: Iterable[DrawnPicture] = ()) -> str:
    """Returns the page; text from the data is escaped.

    The only scripts that run are its own and those in reports/costs.js, reports/judge.js and
    reports/votes.js, which it loads if these files exist.
    """
    compare, systems = facts.metrics["compare_scores"], facts.metrics["compare_systems"]
    tables = part_tables(facts)
    kinds = parts(facts.metrics.get("compare_kinds", {}), facts.confidence)
    # Holm's first test needs a p-value that is smaller by the number of tests.
    primary, groups = primary_scores(systems), groups_of_verdict(systems)
    confidence = 1 - (1 - facts.confidence) / max(1, len(primary))
    rows = {row.name: row for row in result_rows(systems, facts.params) if row.best_title}
    shown: dict[str, list[DrawnPicture]] = {name: [] for name in SECTIONS}
    for picture in pictures:
        shown[picture.section].append(picture)
    training = {name.replace("_", " "): figure(n) for name, n in facts.metrics["train"].items()}
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return render(
        "page.html.jinja",
        facts,
        sections=present(facts, tables),
        pictures=shown,
        run_mark=run_mark(compare),
        script=script,
        script_hash=content_hash(script),
        part_tables=tables,
        kinds=kinds,
        kind_scores=[s for s in SCORES if s.name in KIND_SCORES and s.name != "perplexity"],
        first_rows=[rows[name] for name in FIRST_SCORES if name in rows],
        other_rows=[row for name, row in rows.items() if name not in FIRST_SCORES],
        all_systems=all_systems(systems, facts.few_shot),
        main_scores=main_scores_of(systems),
        primary=primary,
        groups_of_verdict=groups,
        too_few=too_few_groups(groups, confidence),
        fewest_groups=fewest_groups(confidence),
        crossed=tuning_and_retrieval(systems, facts.few_shot),
        verdicts=verdicts(facts),
        answers=[answer_row(row) for row in facts.answers],
        kind_names=sorted({row["kind"] for row in facts.answers}),
        outcomes=OUTCOMES,
        notes={
            score.title: score.about for score in facts.scores if f"{score.name}.base" in compare
        },
        reasons=cleaning_counts(facts),
        calibration=calibration(compare, facts.confidence),
        work={name: value for name, value in training.items() if name in WORK},
        outcome={name: value for name, value in training.items() if name not in WORK},
    )


def present(facts: Facts, tables: list[PartTable]) -> dict[str, str]:
    """Returns the sections that have something to show."""
    has = {
        "tokens": facts.run is not None and bool(facts.run.examples),
        "training": any(facts.curves.values()),
        "breakdowns": bool(tables),
        "general": facts.run is not None and bool(facts.run.general),
        "forgetting": bool(choice_rows(facts.metrics["compare_scores"], facts.confidence)),
    }
    return {name: title for name, title in SECTIONS.items() if has.get(name, True)}


def part_tables(facts: Facts) -> list[PartTable]:
    """Returns tables of kinds by name, topics from worst to best, lengths from short to long."""
    orders = {
        "kind of card": ("compare_kinds", lambda part: part.name),
        "topic": (
            "compare_topics",
            lambda part: (part.name == OTHER_TOPICS, part.difference, part.name),
        ),
        "length of the reference": ("compare_lengths", lambda part: numbers(part.name)),
    }
    tables = []
    for what, (metrics, key) in orders.items():
        rows = sorted(parts(facts.metrics.get(metrics, {}), facts.confidence), key=key)
        if rows:
            ends = [end for row in rows for end in (row.difference, *(row.limits or ()))]
            tables.append(PartTable(what, rows, IntervalAxis(ends)))
    return tables


def verdicts(facts: Facts) -> dict[str, list[str]]:
    """Returns the titles of the scores by verdict: better, worse, changed, unclear."""
    found: dict[str, list[str]] = {}
    for row in against_base(facts.metrics, facts.confidence, facts.scores):
        found.setdefault(row.verdict, []).append(row.title)
    return {
        name: found[name] for name in ("better", "worse", "changed", "unclear") if name in found
    }


def cleaning_counts(facts: Facts) -> dict[str, int]:
    """Returns how many records were dropped or repaired, by reason."""
    counts = {name: count for name, count in facts.metrics["clean"].items() if "." in name}
    return {name.replace(".", ": ").replace("_", " "): n for name, n in sorted(counts.items())}


def calibration(compare: Mapping[str, Any], confidence: float) -> list[dict[str, Any]]:
    """Returns name, size and both models' calibration error for each multiple-choice set."""
    found = []
    for row in choice_rows(compare, confidence):
        key = f"choices.{row.title}"
        errors = {model: compare[f"{key}.ece.{model}"] for model in ("base", "finetuned")}
        found.append({"name": row.title, "n": compare[f"{key}.n"], **errors})
    return found


def figure(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value, 3)


def numbers(name: str) -> tuple[int, ...]:
    """Returns the numbers in a name, which sort "6-10 words" before "11-20 words"."""
    return tuple(int(digits) for digits in re.findall(r"\d+", name))


def content_hash(script: str) -> str:
    """Returns the hash with which a content security policy allows an inline script."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
