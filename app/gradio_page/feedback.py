"""Saves what readers think of answers, in files that the pipeline can read as cards.

The source `file://data/feedback/liked.jsonl` with clean.reader `columns` is a data set of the liked
answers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.feedback_file import append_line

FOLDER = Path("data/feedback")


@dataclass(frozen=True)
class Feedback:
    """`turn` is the question's number in its conversation; later ones may refer to earlier ones."""

    question: str
    answer: str
    liked: bool
    comment: str
    model: str
    settings: Mapping[str, Any]
    turn: int

    def save(self, folder: Path = FOLDER) -> None:
        """Appends a line to liked.jsonl or disliked.jsonl. Raises OSError."""
        name = "liked.jsonl" if self.liked else "disliked.jsonl"
        append_line(folder / name, asdict(self))
