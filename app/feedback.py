"""Saves what readers think of answers, in files that the pipeline can read as cards.

The source `file://data/feedback/liked.jsonl` with clean.reader `columns` is a data set of the liked
answers.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
        """Appends a line to liked.jsonl or disliked.jsonl, and flushes it to the disk.

        One call writes the whole line, so that lines of several users do not mix.
        """
        folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(self), ensure_ascii=False) + "\n"
        name = "liked.jsonl" if self.liked else "disliked.jsonl"
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode(errors="replace"))
            os.fsync(file)
        finally:
            os.close(file)
