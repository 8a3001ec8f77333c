"""Learns the guard's weights from lists of questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from medtune.guard.classifier import DIMENSIONS, Guard, Kernel, encoded
from medtune.guard.question_lists import LISTS, questions, read_list
from medtune.guard.rules import KINDS

SIDES = ("medical", "general")
MAX_CARDS = 200  # cards and examination questions are alike: more would outweigh the lists
MAX_EXAM = 300
MAX_EXAM_CHARACTERS = 150  # long cases take long, and are told apart without
OTHERS = 4  # every fourth question of the scope is one that calls for no safeguard
GAMMA = 0.7  # of the kernel; higher looks at fewer, nearer questions


@dataclass(frozen=True)
class Examples:
    """Questions of both sides: the lists', and for medicine those of cards and examinations."""

    medical: list[str]
    general: list[str]

    @classmethod
    def read(cls, cards: Sequence[str], exam: Sequence[str], per_template: int) -> Self:
        """Cards are taken evenly spaced; of the examination questions the first short ones."""
        medical, general = (questions(LISTS / "train" / side, per_template) for side in SIDES)
        few_cards = cards[:: -(-len(cards) // MAX_CARDS)]
        short = [question for question in exam if len(question) <= MAX_EXAM_CHARACTERS]
        return cls([*medical, *few_cards, *short[:MAX_EXAM]], general)


def train(examples: Examples, regularization: float, max_false_block_rate: float) -> Guard:
    """Fits all three classifiers; that of the scope gets its threshold from the validation lists.

    The threshold is the highest one that blocks no more than `max_false_block_rate` of them.
    """
    medical, general = encoded(examples.medical), encoded(examples.general)
    scope = fit(medical, general, np.empty((0, DIMENSIONS)), regularization)
    validation = encoded(questions(LISTS / "validation/medical", 1))
    ordered = np.sort(scope.scores(validation))
    scope = replace(
        scope, threshold=round(float(ordered[int(max_false_block_rate * len(ordered))]), 6)
    )
    others = np.concatenate([medical, general])[::OTHERS]
    safeguards = {}
    for kind in KINDS:
        found, false = (encoded(phrasings(kind, name)) for name in ("found", "false"))
        safeguards[kind] = fit(found, false, others, regularization)
    return Guard(scope, **safeguards)


def phrasings(kind: str, name: str, role: str = "train") -> list[str]:
    """Those that call for a safeguard (`found`), or sound alike and do not (`false`)."""
    return read_list(LISTS / role / kind / f"{name}.txt")


def fit(yes: np.ndarray, no: np.ndarray, others: np.ndarray, regularization: float) -> Kernel:
    """A classifier of vectors (questions, 512) in which both sides weigh the same.

    `others` count for no too, in all as much as `no` does.
    """
    from sklearn.svm import SVC

    labels = np.repeat([1, 0, 0], [len(yes), len(no), len(others)])
    share = len(no) / len(others) if len(others) else 1.0
    weights = np.repeat([1.0, 1.0, share], [len(yes), len(no), len(others)])
    weights[labels == 1] = weights[labels == 0].sum() / len(yes)
    # A cache that holds the whole kernel, and a tenth of the usual accuracy: both save seconds.
    model = SVC(C=1 / regularization, gamma=GAMMA, cache_size=800, tol=0.01)
    model.fit(np.concatenate([yes, no, others]), labels, sample_weight=weights)
    return Kernel.pack(
        model.support_vectors_, model.dual_coef_[0], float(model.intercept_[0]), GAMMA
    )
