"""Makes the rows of the score tables, and collects the facts for the report and the model card.

The report, the model card and the summary in the terminal use the same flat metrics, so they
cannot disagree.
"""

import csv
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune.comparison.breakdowns import KIND_SCORES, part_names
from medtune.comparison.verdict import outcome_in
from medtune.config.allowed_values import as_list
from medtune.disclaimer import DISCLAIMER
from medtune.report.headline import headline, system_rows
from medtune.report.licences import UNKNOWN_LICENCE, package_of
from medtune.report.model_card import front_matter
from medtune.report.number_formats import interval_text, number, p_text, percent
from medtune.report.rendering import environment
from medtune.report.run_facts import KindCounts, RunFacts
from medtune.runtime.errors import InputError
from medtune.scoring.evaluate_metrics import all_scores
from medtune.scoring.scores import SCORES, Score

PACKAGES = ("torch", "transformers", "peft", "tokenizers", "rouge-score", "sacrebleu")
CHOICES = re.compile(r"choices\.(.+)\.accuracy\.base")


@dataclass(frozen=True)
class ScoreRow:
    """One line of the score table, formatted: fine-tuned against base.

    `verdict` is better, worse, changed or unclear. `best` is the value of the best system without
    training, n/a where the metrics do not have it.
    """

    name: str
    title: str
    base: str
    finetuned: str
    difference: str
    interval: str
    p_value: str
    outcome: str
    verdict: str
    best: str


@dataclass(frozen=True)
class Facts:
    """Everything that the report and the model card show of a run.

    `params` holds each section's parameters, `metrics` each file's flat metrics, and `curves` each
    split's (step, loss) points. `answers` has one mapping per test record, worst regression first.
    `choices` holds each model's answers to multiple-choice questions. If `run` is None, the report
    leaves its sections out.
    """

    preset: str
    seed: int
    params: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    curves: dict[str, list[tuple[float, float]]]
    answers: list[dict[str, Any]]
    prompt: dict[str, Any]
    adapter: dict[str, Any]
    splits: KindCounts = field(default_factory=dict)
    choices: dict[str, pa.Table] = field(default_factory=dict)
    run: RunFacts | None = None

    @property
    def confidence(self) -> float:
        return self.params["compare"]["confidence"]

    @property
    def scores(self) -> tuple[Score, ...]:
        return all_scores(self.params["evaluate"].get("metrics", ()))

    @property
    def few_shot(self) -> int:
        """The number of cards that the systems "with cards" see before a question."""
        return self.params["evaluate"]["few_shot"]


@dataclass(frozen=True)
class ScoredPart:
    """A part of the test set, such as a kind of card.

    `rows` maps scores to their rows; `limits` is the interval of the ROUGE-L difference, or None.
    """

    name: str
    n: int
    groups: int
    rows: dict[str, ScoreRow]
    difference: float
    limits: tuple[float, float] | None


def score_rows(
    metrics: Mapping[str, Any],
    confidence: float,
    scores: Sequence[Score] = SCORES,
    prefix: str = "",
) -> list[ScoreRow]:
    """Returns the score table of compare_scores.json, or of the part that `prefix` names.

    Scores that an older file lacks are left out.
    """
    keys = {f"{prefix}{score.name}": score for score in scores}
    return [
        _score_row(metrics, score, key, confidence)
        for key, score in keys.items()
        if f"{key}.base" in metrics and not _says_nothing(metrics, key)
    ]


def against_base(
    metrics: Mapping[str, Mapping[str, Any]], confidence: float, scores: Sequence[Score] = SCORES
) -> list[ScoreRow]:
    """Returns the score table of a run; primary scores have the verdict's own, corrected outcome.

    `metrics` holds compare_scores and compare_systems.
    """
    corrected = metrics["compare_systems"]
    return [
        replace(row, verdict=corrected.get(f"primary.{row.name}.base", row.verdict))
        for row in score_rows(metrics["compare_scores"], confidence, scores)
    ]


def _says_nothing(metrics: Mapping[str, Any], key: str) -> bool:
    """Whether this is the disclaimer rate of a run without a disclaimer."""
    rates = (metrics[f"{key}.base"], metrics[f"{key}.finetuned"])
    return key == "disclaimer_rate" and rates == (0, 0)


def parts(metrics: Mapping[str, Any], confidence: float) -> list[ScoredPart]:
    """Returns the parts of the test set in flat metrics such as compare_kinds.json, by name."""
    shown = [score for score in SCORES if score.name in KIND_SCORES]
    found = []
    for name in part_names(metrics):
        low, high = metrics[f"{name}.rougeL.ci_low"], metrics[f"{name}.rougeL.ci_high"]
        part = ScoredPart(
            name=name,
            n=metrics[f"{name}.n"],
            groups=metrics[f"{name}.groups"],
            rows={row.name: row for row in score_rows(metrics, confidence, shown, f"{name}.")},
            difference=metrics[f"{name}.rougeL.difference"],
            limits=None if low is None else (low, high),
        )
        found.append(part)
    return found


def compared_scores(metrics: Mapping[str, Any], scores: Sequence[Score] = SCORES) -> list[Score]:
    """Returns every score that was compared, the given ones first.

    The others are accuracies and calibration errors (ece) of multiple choice; only their names,
    titles and better directions are known.
    """
    found = {key.removesuffix(".difference") for key in metrics if key.endswith(".difference")}
    known = [score for score in scores if score.name in found]
    others = sorted(found - {score.name for score in known})
    return known + [
        Score(
            name=name,
            title=name.replace("choices.", "multiple choice ").replace(".", " "),
            higher_is_better=not name.endswith(".ece"),
            columns=(),
        )
        for name in others
    ]


def choice_rows(metrics: Mapping[str, Any], confidence: float) -> list[ScoreRow]:
    """Returns the accuracy on each multiple-choice set, flat "choices.<set>.accuracy.base" …"""
    names = [match[1] for key in metrics if (match := CHOICES.fullmatch(key))]
    scores = [
        Score(name=f"choices.{name}.accuracy", title=name, higher_is_better=True, columns=())
        for name in sorted(names)
    ]
    return score_rows(metrics, confidence, scores)


def _score_row(metrics: Mapping[str, Any], score: Score, key: str, confidence: float) -> ScoreRow:
    low, high, p_value = (metrics[f"{key}.{field}"] for field in ("ci_low", "ci_high", "p_value"))
    counts = [metrics.get(f"{key}.{name}") for name in ("wins", "ties", "losses")]
    return ScoreRow(
        name=score.name,
        title=score.title,
        base=number(metrics[f"{key}.base"], score.digits),
        finetuned=number(metrics[f"{key}.finetuned"], score.digits),
        difference=number(metrics[f"{key}.difference"], score.digits, sign=True),
        interval=interval_text(low, high, score.digits),
        p_value=p_text(p_value),
        outcome="" if None in counts else " / ".join(map(str, counts)),
        verdict=outcome_in(metrics, key, score, confidence),
        best=number(metrics.get(f"{key}.best"), score.digits),
    )


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Reads the (step, loss) points from a CSV of the train stage."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro train") from None


def side_by_side(tables: dict[str, pa.Table]) -> list[dict[str, Any]]:
    """Returns one mapping per test record with both answers, worst ROUGE-L regression first."""
    rows = tables["base"].select(["id", "kind", "topic", "question", "reference"]).to_pylist()
    for model, table in tables.items():
        answers = table.select(["prediction", "rougeL", "stopped"]).to_pylist()
        for row, answer in zip(rows, answers, strict=True):
            row[model] = answer["prediction"]
            row[f"{model}_score"] = answer["rougeL"]
            row[f"{model}_stopped"] = answer["stopped"]
    for row in rows:
        row["difference"] = row["finetuned_score"] - row["base_score"]
    return sorted(rows, key=lambda row: (row["difference"], row["id"]))


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: version(name).partition("+")[0] for name in PACKAGES},
    }


def render_model_card(facts: Facts) -> str:
    sources = [
        (name, uri, package_of(uri))
        for name, source in facts.params["download"].items()
        for uri in as_list(source)
    ]
    return render(
        "model_card.md.jinja",
        facts,
        kinds=parts(facts.metrics["compare_kinds"], facts.confidence),
        front_matter=front_matter(facts.params, facts.metrics),
        sources=sources,
        unknown_licence=UNKNOWN_LICENCE,
    )


def render(template: str, facts: Facts, **more: Any) -> str:
    """Fills a template with the facts and with what the report and the model card share."""
    compare, confidence = facts.metrics["compare_scores"], facts.confidence
    filled = environment(autoescape=template.endswith(".html.jinja")).get_template(template)
    return filled.render(
        facts=facts,
        metrics=facts.metrics,
        system_rows=system_rows(facts.metrics["compare_systems"], facts.params),
        rows=against_base(facts.metrics, confidence, facts.scores),
        choices=choice_rows(compare, confidence),
        headline=headline(facts.metrics, facts.params),
        confidence=percent(confidence),
        versions=versions(),
        disclaimer=DISCLAIMER,
        **more,
    )
