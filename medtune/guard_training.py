"""Learns the guard's weights from lists of questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtune.guard import Guard, Linear, encoded
from medtune.question_lists import LISTS, questions, read_list
from medtune.safeguards import KINDS

SIDES = ("medical", "general")
MAX_CARDS = 1000  # cards are alike: more of them would outweigh the lists


@dataclass(frozen=True)
class Examples:
    """Questions of both sides: the lists', and for medicine those of cards, evenly spaced."""

    medical: list[str]
    general: list[str]

    @classmethod
    def read(cls, cards: Sequence[str], per_template: int) -> "Examples":
        medical, general = (questions(LISTS / "train" / side, per_template) for side in SIDES)
        return cls([*medical, *cards[:: -(-len(cards) // MAX_CARDS)]], general)


def train(examples: Examples, regularization: float, max_false_block_rate: float) -> Guard:
    """Fits all three classifiers; that of the scope gets its threshold from the validation lists.

    The threshold is the highest one that blocks no more than `max_false_block_rate` of them.
    """
    medical, general = encoded(examples.medical), encoded(examples.general)
    scope = fit(medical, general, np.empty((0, medical.shape[1])), regularization)
    validation = encoded(questions(LISTS / "validation/medical", 1))
    ordered = np.sort(scope.scores(validation))
    scope = replace(scope, threshold=float(ordered[int(max_false_block_rate * len(ordered))]))
    others = np.concatenate([medical, general])
    safeguards = {}
    for kind in KINDS:
        found, false = (encoded(phrasings(kind, name)) for name in ("found", "false"))
        safeguards[kind] = fit(found, false, others, regularization)
    return Guard(scope, **safeguards)


def phrasings(kind: str, name: str, role: str = "train") -> list[str]:
    """Those that call for a safeguard (`found`), or sound alike and do not (`false`)."""
    return read_list(LISTS / role / kind / f"{name}.txt")


def fit(yes: np.ndarray, no: np.ndarray, others: np.ndarray, regularization: float) -> Linear:
    """A logistic regression on vectors (questions, 512) in which both sides weigh the same.

    `others` count for no too, in all as much as `no` does.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    labels = np.repeat([1, 0, 0], [len(yes), len(no), len(others)])
    share = len(no) / len(others) if len(others) else 1.0
    weights = np.repeat([1.0, 1.0, share], [len(yes), len(no), len(others)])
    weights[labels == 1] = weights[labels == 0].sum() / len(yes)
    model = LogisticRegression(C=1 / regularization, max_iter=1000)
    with threadpool_limits(1):  # sums of several threads differ in the last digits
        model.fit(np.concatenate([yes, no, others]), labels, sample_weight=weights)
    return Linear([float(weight) for weight in model.coef_[0]], float(model.intercept_[0]))
