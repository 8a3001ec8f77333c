"""What readers of the page think of answers, kept in files that the pipeline can read as cards.

`file://data/feedback/liked.jsonl` with clean.reader `columns` makes a data set of the liked ones.
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
    """`turn` is the question's place in its conversation: from 2 on it may lean on earlier ones."""

    question: str
    answer: str
    liked: bool
    comment: str
    model: str
    settings: Mapping[str, Any]
    turn: int

    def save(self, folder: Path = FOLDER) -> None:
        """Appends a line to liked.jsonl or disliked.jsonl, on the disk when this returns.

        A line is written whole by one call, so that those of several users do not mix.
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
