"""Trains the guard's classifiers on lists of questions."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Self

import numpy as np

from medtune.content.encoder import DIMENSIONS
from medtune.guard.classifier import Guard, Kernel, Kinds, encoded_questions
from medtune.guard.question_lists import LISTS, questions, read_list
from medtune.guard.rules import KINDS, reasons

SIDES = ("medical", "general")
MAX_CARDS = 200  # cards and exam questions are repetitive: more would outweigh the lists
MAX_EXAM = 300
MAX_EXAM_CHARACTERS = 150  # long cases are slow to encode and not needed for training
OTHERS = 2  # every second question of the scope serves as one that needs no safeguard
THRESHOLDS = {"emergency": 0.1, "caution": 0.0}  # chosen on the validation lists
KINDS_C = 10.0  # inverse of the penalty of the classifier of kinds
GAMMA = 0.7  # of the kernel; a higher value considers fewer, nearer questions


@dataclass(frozen=True)
class Examples:
    """Questions of both sides, from the lists and, if medical, from cards and exams."""

    medical: list[str]
    general: list[str]

    @classmethod
    def read(cls, cards: Sequence[str], exam: Sequence[str], per_template: int) -> Self:
        """Reads the lists, and selects evenly spaced cards and the first short exam questions."""
        medical, general = (questions(LISTS / "train" / side, per_template) for side in SIDES)
        few_cards = cards[:: -(-len(cards) // MAX_CARDS)]
        short = [question for question in exam if len(question) <= MAX_EXAM_CHARACTERS]
        return cls([*medical, *few_cards, *short[:MAX_EXAM]], general)


def train(
    examples: Examples,
    regularization: float,
    max_false_block_rate: float,
    encode: Callable[[list[str]], np.ndarray] = encoded_questions,
) -> Guard:
    """Fits all three classifiers and sets the threshold of the scope on the validation lists.

    It is the highest threshold that blocks no more than `max_false_block_rate` of them. `encode`
    gets all questions at once.
    """
    lists = {
        "medical": examples.medical,
        "general": examples.general,
        "validation": questions(LISTS / "validation/medical", 1),
        **{f"{kind} found": phrasings(kind, "found") for kind in KINDS},
        **{f"{kind} false": look_alikes(kind) for kind in KINDS},
    }
    ends = np.cumsum([len(asked) for asked in lists.values()])
    parts = np.split(encode([*chain(*lists.values())]), ends[:-1])
    vectors = dict(zip(lists, parts, strict=True))
    medical, general = vectors["medical"], vectors["general"]
    others = np.concatenate([medical, general])[::OTHERS]
    no_others = np.empty((0, DIMENSIONS))
    sides: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [(medical, general, no_others)]
    sides += [(vectors[f"{kind} found"], vectors[f"{kind} false"], others) for kind in KINDS]
    with ThreadPoolExecutor() as pool:  # scikit-learn's solver lets other threads run
        jobs = [pool.submit(fit, *side, regularization) for side in sides]
        scope, *found = (job.result() for job in jobs)
    ordered = np.sort(scope.scores(vectors["validation"]))
    scope = replace(
        scope, threshold=round(float(ordered[int(max_false_block_rate * len(ordered))]), 6)
    )
    safeguards = {
        kind: replace(kernel, threshold=THRESHOLDS[kind])
        for kind, kernel in zip(KINDS, found, strict=True)
    }
    return Guard(scope, **safeguards, kinds=fit_kinds(vectors["emergency found"]))


def look_alikes(kind: str) -> list[str]:
    """Returns the phrasings that a safeguard must not find; for emergencies, doses are some."""
    false = phrasings(kind, "false")
    if kind == "emergency":
        false += [asked for asked in phrasings("caution", "found") if not reasons(kind, asked)]
    return list(dict.fromkeys(false))


def phrasings(kind: str, name: str, role: str = "train") -> list[str]:
    """Returns the phrasings that need a safeguard (`found`) or only sound like it (`false`).

    They are in one list, or in a folder of them.
    """
    folder = LISTS / role / kind
    paths = [*folder.glob(f"{name}.txt"), *sorted((folder / name).glob("*.txt"))]
    return [phrasing for path in paths for phrasing in read_list(path)]


def fit_kinds(vectors: np.ndarray) -> Kinds:
    """Fits the classifier of kinds to the emergencies, whose lists are named after them.

    `vectors` encode `phrasings("emergency", "found")`.
    """
    from sklearn.linear_model import LogisticRegression

    lists = sorted((LISTS / "train/emergency/found").glob("*.txt"))
    names = [path.stem for path in lists for _ in read_list(path)]
    model = LogisticRegression(C=KINDS_C, class_weight="balanced", max_iter=1000)
    model.fit(vectors, names)
    return Kinds.pack([str(name) for name in model.classes_], model.coef_, model.intercept_)


def fit(yes: np.ndarray, no: np.ndarray, others: np.ndarray, regularization: float) -> Kernel:
    """Fits a classifier to vectors (questions, 512), with the same total weight on both sides.

    `others` are negatives too, and together weigh as much as `no`.
    """
    from sklearn.svm import SVC

    labels = np.repeat([1, 0, 0], [len(yes), len(no), len(others)])
    share = len(no) / len(others) if len(others) else 1.0
    weights = np.repeat([1.0, 1.0, share], [len(yes), len(no), len(others)])
    weights[labels == 1] = weights[labels == 0].sum() / len(yes)
    # A cache for the whole kernel and ten times the default tolerance: both save seconds.
    model = SVC(C=1 / regularization, gamma=GAMMA, cache_size=800, tol=0.01)
    model.fit(np.concatenate([yes, no, others]), labels, sample_weight=weights)
    return Kernel.pack(
        model.support_vectors_, model.dual_coef_[0], float(model.intercept_[0]), GAMMA
    )
