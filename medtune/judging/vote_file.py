"""Reads what people say about pairs of answers without knowing whose they are."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from medtune.runtime.errors import InputError

VOTES = Path("data/votes/votes.jsonl")
OWN_QUESTION = "own question"  # the kind of questions that are no test cards

WEIGHTS = Path("models/adapter/adapter_model.safetensors")

ModelName = Literal["base", "finetuned"]
VoteChoice = Literal["a", "b", "both_good", "both_bad"]


@dataclass(frozen=True)
class Vote:
    """`a` is the model whose answer stood first, and `seconds` the time that the voter took.

    `pair` is the pair_id of the three texts. `id` is the test card's, empty for a question that the
    voter typed. `adapter` is a digest of the fine-tuned weights.
    """

    voter: str
    pair: str
    id: str
    kind: str
    question: str
    base: str
    finetuned: str
    a: ModelName
    choice: VoteChoice
    seconds: float
    adapter: str

    @property
    def outcome(self) -> int:
        """+1 if the fine-tuned answer is the better one, −1 if the base model's is, 0 for a tie."""
        if self.choice not in ("a", "b"):
            return 0
        return 1 if (self.choice == "a") == (self.a == "finetuned") else -1


def pair_id(question: str, base: str, finetuned: str) -> str:
    """Returns a digest of a question and its answers; votes with the same one belong together."""
    texts = json.dumps([question, base, finetuned])
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def adapter_digest(weights: Path = WEIGHTS) -> str:
    """Returns the beginning of the sha256 of the fine-tuned weights; nothing if there are none."""
    if not weights.is_file():
        return ""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_votes(path: Path = VOTES) -> list[Vote]:
    """Returns the votes in a file, none if it is missing.

    Of one voter's votes on the same answers, the last counts.
    """
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    votes = [_vote(path, n, line) for n, line in enumerate(lines, start=1) if line.strip()]
    return list({(vote.voter, vote.pair): vote for vote in votes}.values())


def _vote(path: Path, number: int, line: str) -> Vote:
    try:
        fields = json.loads(line)
        texts = [fields.get(name) for name in ("question", "base", "finetuned")]
        vote = Vote(**{"pair": pair_id(*texts), **fields})  # the first votes had no pair
        known = vote.choice in get_args(VoteChoice) and vote.a in get_args(ModelName)
        if known and all(isinstance(text, str) for text in (vote.pair, vote.voter, vote.kind)):
            return vote
    except (AttributeError, ValueError, TypeError):
        pass
    raise InputError(f"{path}, line {number} is not a vote: remove the line")
