"""The rows of the score tables.

The report, the model card and the summary in the terminal use the same flat metrics, so they
cannot disagree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medtune.comparison.breakdowns import KIND_SCORES, part_names
from medtune.comparison.verdict import outcome_in
from medtune.report.number_formats import interval_text, number, p_text
from medtune.scoring.scores import SCORES, Score

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
