"""Trains the guard, which checks questions before they are answered, and measures it.

Reads data/split/train.parquet (questions only), the lists of medtune/guard/questions and the
multiple-choice questions of data/choices. Writes models/guard/guard.json and metrics/guard.json;
the time per question is in metrics/guard_cost.json.

    python -m stages.guard
"""

import logging
import time
from pathlib import Path

import numpy as np

from medtune.cards.workers import map_in_order
from medtune.config.loading import load_params
from medtune.guard.classifier import Guard, encoded_questions
from medtune.guard.metrics import auroc, rate
from medtune.guard.question_lists import LISTS, read_list
from medtune.guard.rules import KINDS
from medtune.guard.training import SIDES, Examples, phrasings, train
from medtune.runtime.atomic_files import read_table, write_json
from medtune.runtime.stage import run
from medtune.scoring.choice_questions import SETS, read_questions

logger = logging.getLogger("medtune")

TRAIN = Path("data/split/train.parquet")
METRICS = Path("metrics/guard.json")
PART = 500  # questions that one process encodes at a time
FEW_PARTS = 4  # for these, starting processes costs more than it saves
CHOICES = 100  # multiple-choice questions of each set that are held out for the metrics

QuestionLists = dict[str, tuple[list[str], np.ndarray]]  # questions and their vectors, by list


def encoded_in_processes(questions: list[str]) -> np.ndarray:
    """Returns the vectors (questions, 512), of many questions by all cores."""
    logger.info(f"encoding {len(questions)} questions")
    parts = [questions[start : start + PART] for start in range(0, len(questions), PART)]
    alone = 1 if len(parts) > FEW_PARTS else len(parts)
    return np.concatenate([*map_in_order(encoded_questions, parts, alone)])


def lists(role: str, side: str) -> QuestionLists:
    """Reads the lists of a role, validation or test, for one side of the scope."""
    paths = sorted((LISTS / role / side).glob("*.txt"))
    return {path.stem: with_vectors(read_list(path)) for path in paths}


def with_vectors(questions: list[str]) -> tuple[list[str], np.ndarray]:
    return questions, encoded_questions(questions)


def scores(guard: Guard, parts: QuestionLists) -> np.ndarray:
    return np.concatenate([guard.scope.scores(vectors) for _, vectors in parts.values()])


def blocked(guard: Guard, parts: QuestionLists) -> np.ndarray:
    return ~np.concatenate([guard.medical(*part) for part in parts.values()])


def scope_metrics(guard: Guard, medical: QuestionLists, general: QuestionLists) -> dict[str, float]:
    """Returns AUROC and the blocked shares of general and medical questions, over all lists."""
    metrics = auroc("auroc", scores(guard, medical), scores(guard, general))
    metrics |= rate("block_rate", blocked(guard, general))
    return metrics | rate("false_block_rate", blocked(guard, medical))


def list_metrics(guard: Guard, medical: QuestionLists, general: QuestionLists) -> dict[str, float]:
    """Returns the same for each list, with its AUROC against all lists of the other side."""
    metrics: dict[str, float] = {}
    inside, outside = scores(guard, medical), scores(guard, general)
    for name, part in medical.items():
        metrics |= auroc(f"auroc.{name}", scores(guard, {name: part}), outside)
        metrics |= rate(f"false_block_rate.{name}", blocked(guard, {name: part}))
    for name, part in general.items():
        metrics |= auroc(f"auroc.{name}", inside, scores(guard, {name: part}))
        metrics |= rate(f"block_rate.{name}", blocked(guard, {name: part}))
    return metrics


def choice_block_rates(guard: Guard, choices: dict[str, list[str]]) -> dict[str, float]:
    """Returns the blocked shares of multiple-choice sets; not all questions fit their set."""
    metrics: dict[str, float] = {}
    for side, name in (("medical", "false_block_rate"), ("general", "block_rate")):
        if asked := choices[side][:CHOICES]:
            metrics |= rate(f"{name}.choices", blocked(guard, {side: with_vectors(asked)}))
    return metrics


def safeguard_metrics(guard: Guard, test: dict[str, QuestionLists]) -> dict[str, float]:
    """Returns how often a safeguard is shown: if it is needed, if it only seems so, and otherwise.

    The rules and training phrasings were tuned on the `validation` lists.
    """
    metrics: dict[str, float] = {}
    for kind in KINDS:
        for name in ("found", "false"):
            for role, prefix in (("test", ""), ("validation", "validation.")):
                asked = with_vectors(phrasings(kind, name, role))
                metrics |= rate(f"{prefix}{kind}.{name}_rate", guard.found(kind, *asked))
        for side, parts in test.items():
            hits = [guard.found(kind, *part) for part in parts.values()]
            metrics |= rate(f"{kind}.{side}_rate", np.concatenate(hits))
    return metrics


def latencies(guard: Guard, asked: list[str]) -> dict[str, float]:
    """Returns the milliseconds that the assessment of a question takes."""
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
    cards = read_table(TRAIN, "split", ["question"])["question"].to_pylist()
    asked = read_questions(None)[0]
    choices = {name: [row.question for row in asked if row.set == name] for name in SETS}
    examples = Examples.read(cards, choices["medical"][CHOICES:], per_template)
    guard = train(examples, regularization, max_false_block_rate, encoded_in_processes)
    test, validation = ({s: lists(role, s) for s in SIDES} for role in ("test", "validation"))
    metrics = scope_metrics(guard, **test) | list_metrics(guard, **test)
    settled = scope_metrics(guard, **validation)
    metrics |= {f"validation.{name}": value for name, value in settled.items()}
    metrics |= safeguard_metrics(guard, test) | choice_block_rates(guard, choices)
    guard.save()
    sizes = {"train.medical": len(examples.medical), "train.general": len(examples.general)}
    write_json(METRICS, metrics | sizes)
    logger.info(
        f"{sizes['train.medical']} medical and {sizes['train.general']} general questions → "
        f"AUROC {metrics['auroc']:.3f}, {metrics['block_rate']:.1%} of general and "
        f"{metrics['false_block_rate']:.1%} of medical questions blocked: models/guard/"
    )
    return latencies(guard, test["medical"]["consumer"][0])


if __name__ == "__main__":
    run("guard", main)
