"""Says in words what the fine-tuning brought beyond answers without training.

The report, the model card and the terminal take their headline here, so they cannot disagree. The
verdict itself, and the number of cards behind it, are worded in comparison.verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medtune.comparison.collapsed_kinds import Collapse, collapses
from medtune.report.number_formats import number, percent
from medtune.report.result_table import difference, interval
from medtune.scoring.scores import SCORES, Score
from medtune.scoring.system_names import BASE, FINETUNED, title

Metrics = Mapping[str, Any]
ENDINGS = {
    "stopped_rate": "{finetuned} of the answers do not end (base model {base})",
    "repetition_rate": "{finetuned} of the four-word sequences repeat (base model {base})",
}


def headline(metrics: Mapping[str, Metrics], params: Mapping[str, Metrics]) -> list[str]:
    """Returns the verdict, the primary scores behind it, and the kinds that broke down.

    `metrics` holds compare_systems and compare_kinds, `params` the sections of a run.
    """
    systems = metrics["compare_systems"]
    few_shot, confidence = params["evaluate"]["few_shot"], params["compare"]["confidence"]
    return [
        systems["verdict.sentence"],
        *unlearned(systems),
        *(lead(systems, score, few_shot, confidence) for score in primary_scores(systems)),
        *broken(collapses(metrics["compare_kinds"])),
    ]


def unlearned(systems: Metrics) -> list[str]:
    """Says so if each reference answer is as likely after the fine-tuning as before."""
    changes = [systems.get(f"{BASE}.perplexity.{x}") for x in ("difference", "ci_low", "ci_high")]
    if changes != [0, 0, 0]:
        return []
    return [
        "The model learned nothing: each reference answer is exactly as likely as with the base "
        "model. Check train.lr and train.warmup_steps."
    ]


def primary_scores(systems: Metrics) -> list[Score]:
    """Returns the scores that decide the verdict of this run."""
    return [score for score in SCORES if f"primary.{score.name}.best" in systems]


def groups_of_verdict(systems: Metrics) -> int:
    """Returns how many groups count for the primary score that has the fewest."""
    keys = [f"{BASE}.{score.name}.counted_groups" for score in primary_scores(systems)]
    return min([systems["groups"], *(systems[key] for key in keys if key in systems)])


def lead(systems: Metrics, score: Score, few_shot: int, confidence: float) -> str:
    """Says a score of the fine-tuned model, and its lead over the best system and the base model.

    "ROUGE-L: 0.309, +0.062 against the fill-in rule, the best without training (95% interval
    +0.039 to +0.087), and +0.106 against the base model (+0.080 to +0.130)."
    """
    best = systems[f"best.{score.name}"]
    value = number(systems[f"{FINETUNED}.{score.name}"], score.digits)
    text = (
        f"{_capital(score.title)}: {value}, {difference(systems, best, score)} against the "
        f"{title(best, few_shot)}, the best without training ({percent(confidence)} interval "
        f"{interval(systems, best, score)})"
    )
    if best != BASE:
        text += (
            f", and {difference(systems, BASE, score)} against the base model "
            f"({interval(systems, BASE, score)})"
        )
    return f"{text}."


def broken(found: Sequence[Collapse]) -> list[str]:
    """Says which kinds broke down, one sentence for each kind, the largest loss first."""
    by_kind: dict[str, list[Collapse]] = {}
    for one in found:
        by_kind.setdefault(one.kind, []).append(one)
    return [
        f"{_capital(kind or 'unnamed')} cards (n = {ones[0].n}): {' and '.join(map(_loss, ones))}."
        for kind, ones in by_kind.items()
    ]


def _loss(one: Collapse) -> str:
    shares = (one.base, one.finetuned)
    if one.score == "stopped_rate":
        shares = (1 - one.base, 1 - one.finetuned)
    base, finetuned = (f"{100 * share:.0f}%" for share in shares)
    return ENDINGS[one.score].format(base=base, finetuned=finetuned)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
