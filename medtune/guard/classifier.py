"""Classifies a question before it is answered: is it medical, an emergency, about a dose?

There is one sentence encoder and a classifier for each of the three, and one for the kind of an
emergency; the stage `guard` trains them.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Self

import numpy as np

from medtune.content.encoder import DIMENSIONS, encoded
from medtune.guard.emergencies_in_context import kind_in_context
from medtune.guard.notices import language_of
from medtune.guard.rules import SELF_HARM, is_excluded, kind_of, reasons
from medtune.runtime.atomic_files import read_json, write_json
from medtune.runtime.errors import InputError

MODEL = Path("models/guard/guard.json")
MAX_CHARACTERS = 600  # of a question; limits the time for a long one
LENIENCE = 0.3  # by which the score of a question about self-harm may be lower
SURE = 0.7  # probability of self-harm, among the kinds, from which this holds
STRICTNESS = 0.3  # by which that of a question about a dose must be higher
CERTAIN = 0.8  # score from which no word about the past, an exam or fiction counts
REMEMBERED = 512  # assessments of questions, so that a conversation's earlier ones cost no time


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
class Kinds:
    """A linear classifier of emergencies: tells of which kind one is that no rule has found."""

    names: list[str]
    weights: str  # int8 (kinds, 512) in base64; weights times `scale`
    scale: float
    biases: list[float]  # (kinds,)

    @classmethod
    def pack(cls, names: list[str], weights: np.ndarray, biases: np.ndarray) -> Self:
        """Makes a classifier of weights (kinds, 512) and biases (kinds,), rounded as in a file."""
        scale = round(float(127 / max(np.abs(weights).max(), 1e-9)), 6)
        packed = base64.b64encode(np.rint(weights * scale).astype(np.int8).tobytes()).decode()
        return cls(names, packed, scale, [round(float(b), 6) for b in biases])

    @cached_property
    def _weights(self) -> np.ndarray:
        packed = np.frombuffer(base64.b64decode(self.weights), dtype=np.int8)
        return packed.reshape(len(self.names), DIMENSIONS).astype(np.float64) / self.scale

    def likeliest(self, vector: np.ndarray) -> tuple[str, float]:
        """Returns the kind of the emergency in a vector (512,), and its probability."""
        scores = np.exp(self._weights @ vector + np.array(self.biases))
        return self.names[int(scores.argmax())], float(scores.max() / scores.sum())


@dataclass(frozen=True)
class Assessment:
    """What the guard finds in a question and the turns before it.

    `emergency` is its kind, as in notices.toml, and `language` that of the question, as there.
    `distress` is true from the first sign of it to the end of the conversation. `support` is true
    for this question alone, if it asks about suicide or self-harm as a subject.
    """

    medical: bool
    emergency: str | None = None
    caution: bool = False
    distress: bool = False
    support: bool = False
    language: str | None = None


@dataclass(frozen=True)
class Guard:
    """Classifiers; `emergency` and `caution` find what the rules miss, `kinds` names it."""

    scope: Kernel
    emergency: Kernel
    caution: Kernel
    kinds: Kinds

    def check(self, question: str, earlier: Sequence[str] = ()) -> Assessment:
        """Assesses a question and the questions before it, in some milliseconds for each.

        Earlier questions are remembered, so that they are judged once.
        """
        own, before = self._cached(question), [self._cached(each) for each in earlier]
        distress = any(each.distress for each in (own, *before))
        emergency = own.emergency
        if before and not emergency:
            after_distress = any(each.distress for each in before)
            emergency = kind_in_context(question, earlier, after_distress)
        return replace(
            own,
            medical=own.medical or distress or emergency is not None,
            emergency=emergency,
            distress=distress or emergency == SELF_HARM,
        )

    @cached_property
    def _cached(self) -> Callable[[str], Assessment]:
        return lru_cache(REMEMBERED)(self._alone)

    def _alone(self, question: str) -> Assessment:
        vector = encoded_questions([question])
        emergency = None
        if self.found("emergency", [question], vector)[0]:
            emergency = kind_of("emergency", question) or self.kinds.likeliest(vector[0])[0]
        kinds = reasons("distress", question).values()
        support = "subject" in kinds
        inside = emergency or support or self.scope.scores(vector)[0] >= self.scope.threshold
        return Assessment(
            medical=bool(inside),
            emergency=emergency,
            caution=bool(self.found("caution", [question], vector)[0]),
            distress=emergency == SELF_HARM or "distress" in kinds,
            support=support,
            language=language_of(question),
        )

    def found(self, kind: str, questions: Sequence[str], vectors: np.ndarray) -> np.ndarray:
        """Returns which questions (questions,) call for the safeguard, by rule or classifier.

        The classifier is ignored for exam cases, history and the like, unless it is certain of an
        emergency.
        """
        model: Kernel = getattr(self, kind)
        scores = model.scores(vectors)
        kinds: list[str | None] = [None] * len(questions)
        if kind == "emergency":
            for n in map(int, np.flatnonzero(scores > model.threshold - LENIENCE)):
                kinds[n], probability = self.kinds.likeliest(vectors[n])
                scores[n] += LENIENCE if kinds[n] == SELF_HARM and probability > SURE else 0
                scores[n] -= STRICTNESS if reasons("caution", questions[n]) else 0
        by_rule = np.array([bool(reasons(kind, q)) for q in questions], dtype=bool)
        excluded = [is_excluded(kind, q, k) for q, k in zip(questions, kinds, strict=True)]
        counts = ~np.array(excluded, dtype=bool)
        if kind == "emergency":
            counts |= scores > CERTAIN
        return by_rule | ((scores > model.threshold) & counts)

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
        if "kinds" not in models:
            raise InputError(f"{path} was made by an older version: run dvc repro guard")
        kinds = Kinds(**models.pop("kinds"))
        return cls(**{name: Kernel(**model) for name, model in models.items()}, kinds=kinds)

    def save(self, path: Path = MODEL) -> None:
        write_json(path, asdict(self))


def encoded_questions(questions: Sequence[str]) -> np.ndarray:
    """Returns unit vectors (questions, 512) of the questions, of long ones only the beginning."""
    return encoded([" ".join(question.split())[:MAX_CHARACTERS] for question in questions])
