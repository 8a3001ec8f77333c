"""Pairs of answers, base and fine-tuned, for the blind test."""

import hashlib
import secrets
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from medtune.judging.vote_file import ModelName, Vote, VoteChoice, pair_id

PREDICTIONS = Path("data/predictions")


@dataclass(frozen=True)
class Pair:
    """`id` is the test card's, and empty for a question that a reader typed."""

    id: str
    kind: str
    question: str
    base: str
    finetuned: str

    @cached_property
    def digest(self) -> str:
        return pair_id(self.question, self.base, self.finetuned)


@dataclass(frozen=True)
class ShownPair:
    """A pair as a reader sees it; `a`, drawn at random, is the model whose answer stands first."""

    pair: Pair
    a: ModelName = field(default_factory=lambda: secrets.choice(("base", "finetuned")))
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has been shown."""
        return time.monotonic() - self.since

    @property
    def answers(self) -> tuple[str, str]:
        texts = self.pair.base, self.pair.finetuned
        return texts if self.a == "base" else texts[::-1]

    def vote(self, voter: str, choice: VoteChoice, adapter: str) -> Vote:
        return Vote(
            voter=voter,
            pair=self.pair.digest,
            id=self.pair.id,
            kind=self.pair.kind,
            question=self.pair.question,
            base=self.pair.base,
            finetuned=self.pair.finetuned,
            a=self.a,
            choice=choice,
            seconds=round(self.seconds, 1),
            adapter=adapter,
        )


def recorded_pairs(folder: Path = PREDICTIONS) -> list[Pair]:
    """Returns the test cards whose answers differ, in an order that only depends on their ids.

    All voters get this order, so that they vote on the same pairs. Without answers of the pipeline
    the list is empty.
    """
    import pyarrow.parquet as pq

    paths = [folder / f"{name}.parquet" for name in ("base", "finetuned")]
    if not all(path.is_file() for path in paths):
        return []
    base, tuned = (pq.read_table(path).to_pylist() for path in paths)
    tuned_answers = {row["id"]: row["prediction"] for row in tuned}
    pairs = [
        Pair(row["id"], row["kind"], _asked(row), row["prediction"], tuned_answers[row["id"]])
        for row in base
        if row["id"] in tuned_answers
    ]
    differing = (pair for pair in pairs if pair.base.split() != pair.finetuned.split())
    return sorted(differing, key=lambda pair: hashlib.sha256(pair.id.encode()).digest())


def _asked(row: Mapping[str, Any]) -> str:
    """Returns the question, behind what was said before it if it ends a conversation."""
    earlier = [f"{message['role']}: {message['content']}" for message in row.get("history") or []]
    return "\n\n".join([*earlier, row["question"]])


def first_unseen(pairs: Sequence[Pair], seen: Container[str]) -> Pair | None:
    """Returns the first pair whose digest is not among those `seen`."""
    return next((pair for pair in pairs if pair.digest not in seen), None)
