"""The table of results: base model, best answer without training, fine-tuned model, difference.

The report, the model card, README.md and the terminal show its rows, so they cannot disagree.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from medtune.comparison.verdict import outcome_against
from medtune.report.number_formats import interval_text, number
from medtune.scoring.hf_evaluate_metrics import all_scores
from medtune.scoring.scores import Score
from medtune.scoring.system_names import BASE, FINETUNED, title

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
COLUMNS = ("score", "base", "best without training", "fine-tuned", "difference")  # and interval


@dataclass(frozen=True)
class ResultRow:
    """One line of the table, formatted: fine-tuned against the best without training."""

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


def result_rows(
    systems: Metrics, params: Mapping[str, Metrics], names: Collection[str] | None = None
) -> list[ResultRow]:
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
        row = ResultRow(
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
