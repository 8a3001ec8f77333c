"""Classifies a question before it is answered: is it medical, an emergency, about a dose?

There is one sentence encoder and a classifier for each of the three, which the stage `guard`
trains.
"""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from medtune.content.encoder import DIMENSIONS
from medtune.content.encoder import encoded as vectors_of
from medtune.guard.rules import is_excluded, message, reasons
from medtune.runtime.files import read_json, write_json

MODEL = Path("models/guard/guard.json")
OUT_OF_SCOPE = (
    "I can only help with questions about health and medicine, and this one seems to be about "
    "something else. Please ask me a medical question."
)
MAX_CHARACTERS = 600  # of a question; limits the time for a long one


@dataclass(frozen=True)
class Kernel:
    """A support vector machine: compares a question with those at the border of both sides.

    A score is the sum of weight * exp(-gamma * distance²) over the support vectors, plus `bias`.
    Encoded questions have length 1, so the distance follows from the cosine.
    """

    support: str  # int8 (count, 512) in base64; encoded questions times `scale`
    scale: int
    weights: list[float]  # (count,), positive for questions that the classifier should find
    bias: float
    gamma: float
    threshold: float = 0.0

    @classmethod
    def pack(cls, support: np.ndarray, weights: np.ndarray, bias: float, gamma: float) -> Self:
        """Makes a kernel of vectors (count, 512) and weights (count,), rounded as in the file."""
        scale = int(127 / np.abs(support).max())
        packed = base64.b64encode(np.rint(support * scale).astype(np.int8).tobytes()).decode()
        return cls(packed, scale, [round(float(w), 6) for w in weights], round(bias, 6), gamma)

    @cached_property
    def _support(self) -> np.ndarray:
        packed = np.frombuffer(base64.b64decode(self.support), dtype=np.int8)
        return packed.reshape(-1, DIMENSIONS).astype(np.float64) / self.scale

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the scores (questions,) of vectors (questions, 512)."""
        nearness = np.exp(2 * self.gamma * (vectors @ self._support.T - 1))
        return nearness @ np.array(self.weights) + self.bias


@dataclass(frozen=True)
class Verdict:
    """How an app answers a question: with fixed texts `before` and `after` the answer, if any.

    If `medical` is false and guard.scope is `block`, the answer is OUT_OF_SCOPE.
    """

    medical: bool
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Guard:
    """Three classifiers; `emergency` and `caution` find what the rules miss."""

    scope: Kernel
    emergency: Kernel
    caution: Kernel

    def check(self, question: str) -> Verdict:
        """Returns the verdict on one question, in about 2 ms."""
        vector = encoded([question])
        emergency = self.found("emergency", [question], vector)[0]
        caution = self.found("caution", [question], vector)[0]
        return Verdict(
            medical=bool(emergency or self.scope.scores(vector)[0] >= self.scope.threshold),
            before=message("emergency") if emergency else None,
            after=message("caution") if caution else None,
        )

    def found(self, kind: str, questions: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        """Returns which questions (questions,) call for the safeguard, by rule or classifier.

        The classifier is ignored for questions that no rule may find, such as exam cases.
        """
        model: Kernel = getattr(self, kind)
        by_rule = np.array([bool(reasons(kind, q)) for q in questions], dtype=bool)
        excluded = np.array([is_excluded(kind, q) for q in questions], dtype=bool)
        return by_rule | ((model.scores(vectors) > model.threshold) & ~excluded)

    def medical(self, questions: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        """Returns which questions (questions,) are medical; a possible emergency always is."""
        medical = self.scope.scores(vectors) >= self.scope.threshold
        outside = np.flatnonzero(~medical)
        asked = [questions[int(n)] for n in outside]
        medical[outside] = self.found("emergency", asked, vectors[outside])
        return medical

    @classmethod
    def load(cls, path: Path = MODEL) -> Self:
        models = read_json(path, "guard")
        return cls(**{name: Kernel(**model) for name, model in models.items()})

    def save(self, path: Path = MODEL) -> None:
        write_json(path, asdict(self))


def encoded(questions: Sequence[str]) -> np.ndarray:
    """Returns unit vectors (questions, 512) of the questions, of long ones only the beginning."""
    return vectors_of([" ".join(question.split())[:MAX_CHARACTERS] for question in questions])
