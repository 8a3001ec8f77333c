"""Trains the guard, which reads questions before they are answered, and measures it.

Reads data/split/train.parquet (questions only), the lists of medtune/guard_questions and the
multiple-choice questions of data/choices. Writes models/guard/guard.json and metrics/guard.json;
the time that a question takes is in metrics/guard_cost.json.

    python -m stages.guard
"""

import logging
import time
from pathlib import Path

import numpy as np

from medtune.choice_questions import read_questions
from medtune.files import read_table, write_json
from medtune.guard import Guard, encoded
from medtune.guard_scores import auroc, rate
from medtune.guard_training import SIDES, Examples, phrasings, train
from medtune.params import load_params
from medtune.question_lists import LISTS, read_list
from medtune.safeguards import KINDS
from medtune.stage import run

logger = logging.getLogger("medtune")

TRAIN = Path("data/split/train.parquet")
METRICS = Path("metrics/guard.json")
MAX_CHOICES = 300  # multiple-choice questions of each set

Sources = dict[str, list[str]]  # questions by the name of their source


def held_out() -> dict[str, Sources]:
    """Questions that nothing was learned from, of each side: lists and multiple choice."""
    found: dict[str, Sources] = {
        side: {path.stem: read_list(path) for path in sorted((LISTS / "test" / side).glob("*.txt"))}
        for side in SIDES
    }
    for row in read_questions(MAX_CHOICES)[0]:
        found[row.set].setdefault(f"choices_{row.set}", []).append(row.question)
    return found


def scope_metrics(guard: Guard, sources: dict[str, Sources]) -> dict[str, float]:
    """AUROC, share of general questions blocked and of medical ones, in all and by source.

    `auroc.<source>` holds a source against the lists of the other side. The totals are those of
    the lists: what the multiple-choice sets call medical or general is not always so.
    """
    scores: dict[str, dict[str, np.ndarray]] = {side: {} for side in SIDES}
    blocked: dict[str, dict[str, np.ndarray]] = {side: {} for side in SIDES}
    for side in SIDES:
        for name, asked in sources[side].items():
            vectors = encoded(asked)
            scores[side][name] = guard.scope.scores(vectors)
            blocked[side][name] = ~guard.medical(asked, vectors)
    medical, general = (lists_only(scores[side]) for side in SIDES)
    metrics = auroc("auroc", medical, general)
    metrics |= rate("block_rate", lists_only(blocked["general"]))
    metrics |= rate("false_block_rate", lists_only(blocked["medical"]))
    for name, values in scores["general"].items():
        metrics |= auroc(f"auroc.{name}", medical, values)
        metrics |= rate(f"block_rate.{name}", blocked["general"][name])
    for name, values in scores["medical"].items():
        metrics |= auroc(f"auroc.{name}", values, general)
        metrics |= rate(f"false_block_rate.{name}", blocked["medical"][name])
    return metrics


def lists_only(values: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([v for name, v in values.items() if not name.startswith("choices_")])


def safeguard_metrics(guard: Guard, general: Sources) -> dict[str, float]:
    """Shares that get a safeguard: of what calls for it, of what sounds alike, of general ones."""
    asked = [q for name, part in general.items() if not name.startswith("choices_") for q in part]
    metrics: dict[str, float] = {}
    for kind in KINDS:
        groups = {name: phrasings(kind, name, "test") for name in ("found", "false")}
        for name, group in (groups | {"general": asked}).items():
            metrics |= rate(f"{kind}.{name}_rate", guard.found(kind, group, encoded(group)))
    return metrics


def latencies(guard: Guard, asked: list[str]) -> dict[str, float]:
    """Milliseconds that the verdict on one question takes."""
    seconds = []
    for question in asked:
        start = time.perf_counter()
        guard.check(question)
        seconds.append(time.perf_counter() - start)
    median, high = 1e3 * np.quantile(seconds, [0.5, 0.95])
    return {"question_ms": round(median, 2), "question_p95_ms": round(high, 2)}


def main() -> dict[str, float]:
    per_template, regularization, max_false_block_rate = load_params(
        "guard.questions_per_template", "guard.regularization", "guard.max_false_block_rate"
    )
    cards = read_table(TRAIN, "split")["question"].to_pylist()
    examples = Examples.read(cards, per_template)
    logger.info(f"encoding {len(examples.medical) + len(examples.general)} questions")
    guard = train(examples, regularization, max_false_block_rate)
    sources = held_out()
    metrics = scope_metrics(guard, sources) | safeguard_metrics(guard, sources["general"])
    guard.save()
    sizes = {"train.medical": len(examples.medical), "train.general": len(examples.general)}
    write_json(METRICS, metrics | sizes)
    logger.info(
        f"{sizes['train.medical']} medical and {sizes['train.general']} general questions → "
        f"AUROC {metrics['auroc']:.3f}, {metrics['block_rate']:.1%} of general and "
        f"{metrics['false_block_rate']:.1%} of medical questions blocked: models/guard/"
    )
    return latencies(guard, sources["medical"]["consumer"])


if __name__ == "__main__":
    run("guard", main)
