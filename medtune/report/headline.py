"""Says in words and in one table what the fine-tuning brought beyond answers without training.

The report, the model card, README.md and the terminal take their headline here, so they cannot
disagree. The verdict itself, and the number of cards behind it, are worded in comparison.verdict.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medtune.comparison.collapses import Collapse, collapses
from medtune.comparison.verdict import outcome_against
from medtune.report.number_formats import interval_text, number, percent
from medtune.scoring.hf_evaluate_metrics import all_scores
from medtune.scoring.scores import SCORES, Score
from medtune.scoring.systems import BASE, FINETUNED, title

Metrics = Mapping[str, Any]
# The scores of README.md and of the report's first screen: one of each idea.
FIRST_SCORES = (
    "rougeL",
    "content_f1",
    "meaning",
    "facts",
    "perplexity",
    "stopped_rate",
    "repetition_rate",
)
ENDINGS = {
    "stopped_rate": "{finetuned} of the answers do not end (base model {base})",
    "repetition_rate": "{finetuned} of the four-word sequences repeat (base model {base})",
}


COLUMNS = ("score", "base", "best without training", "fine-tuned", "difference")  # and interval


@dataclass(frozen=True)
class SystemRow:
    """One line of the main table, formatted: fine-tuned against the best without training."""

    name: str
    title: str
    base: str
    best: str
    best_title: str
    finetuned: str
    difference: str
    interval: str
    verdict: str

    def cells(self) -> list[str]:
        """Returns the cells of COLUMNS and the interval."""
        shown = self.best_title.replace(" model with", ",")  # "base, 3 cards": the table is wide
        best = f"{self.best} ({shown})" if shown else ""
        return [self.title, self.base, best, self.finetuned, self.difference, self.interval]


def system_rows(
    systems: Metrics, params: Mapping[str, Metrics], names: Collection[str] | None = None
) -> list[SystemRow]:
    """Returns the rows of all scores of compare_systems.json, or of the named ones.

    `params` holds the sections of the run. A score that cannot be better or worse has no best
    system and no difference. The verdict on a primary score is corrected for the others.
    """
    few_shot, confidence = params["evaluate"]["few_shot"], params["compare"]["confidence"]
    rows = []
    for score in all_scores(params["evaluate"].get("metrics", ())):
        finetuned = systems.get(f"{FINETUNED}.{score.name}")
        if finetuned is None or (names is not None and score.name not in names):
            continue
        best = systems.get(f"best.{score.name}", "")
        row = SystemRow(
            name=score.name,
            title=counted(systems, score),
            base=number(systems.get(f"{BASE}.{score.name}"), score.digits),
            best=number(systems.get(f"{best}.{score.name}"), score.digits) if best else "",
            best_title=title(best, few_shot) if best else "",
            finetuned=number(finetuned, score.digits),
            difference=difference(systems, best, score) if best else "",
            interval=interval(systems, best, score) if best else "",
            verdict=outcome_against(systems, best, score, confidence) if best else "",
        )
        rows.append(row)
    return rows


def counted(systems: Metrics, score: Score) -> str:
    """Returns a score's title, with the number of cards that count for it if that is not all."""
    rows = systems.get(f"{BASE}.{score.name}.counted_rows")
    return score.title if rows is None else f"{score.title} (n = {rows})"


def difference(systems: Metrics, system: str, score: Score) -> str:
    """Returns fine-tuned minus this system."""
    return number(systems.get(f"{system}.{score.name}.difference"), score.digits, sign=True)


def interval(systems: Metrics, system: str, score: Score) -> str:
    low, high = (systems.get(f"{system}.{score.name}.{end}") for end in ("ci_low", "ci_high"))
    return interval_text(low, high, score.digits)


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
