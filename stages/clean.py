"""Cleans the raw data set: every raw row becomes a record, or is dropped with a reason.

Reads data/raw and the section `clean` of params.yaml. Writes data/clean/records.parquet (in the
order of the raw files), data/clean/dropped.parquet (raw rows with position and reason),
metrics/clean.json and plots/data/{answer_words,kinds}.csv. Run: python -m stages.clean
"""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune.cleaning import RULES, clean_text
from medtune.errors import InputError
from medtune.files import write_csv, write_json, write_table
from medtune.params import Clean, load_params
from medtune.progress import progress
from medtune.readers import read_records
from medtune.records import BIN_WORDS, SCHEMA, Record
from medtune.stage import run

logger = logging.getLogger("medtune")

RAW = Path("data/raw")
RECORDS = Path("data/clean/records.parquet")
DROPPED = Path("data/clean/dropped.parquet")
METRICS = Path("metrics/clean.json")
ANSWER_WORDS = Path("plots/data/answer_words.csv")
KINDS = Path("plots/data/kinds.csv")

REASONS = (
    "not_text",
    "empty_question",
    "empty_answer",
    "answer_equals_question",
    "answer_too_short",
    "answer_too_long",
    "duplicate",
)
DROPPED_SCHEMA = pa.schema([*SCHEMA, ("position", pa.int64()), ("reason", pa.string())])


@dataclass
class Cleaned:
    """The outcome; `dropped` holds rows of DROPPED_SCHEMA: raw record, position and reason."""

    kept: list[Record] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    fixed: Counter[str] = field(default_factory=Counter)  # cells that each cleaning rule changed


def clean_records(records: Iterable[Record], clean: Clean) -> Cleaned:
    """Cleans questions and answers; keeps each record, or drops it as it came, with the reason."""
    result = Cleaned()
    seen: set[tuple[str, str]] = set()
    for position, raw in enumerate(records):
        question = _clean_cell(raw.question, result.fixed)
        answer = _clean_cell(raw.answer, result.fixed)
        reason = _reason_to_drop(question, answer, clean, seen)
        if reason:
            result.dropped.append({**asdict(raw), "position": position, "reason": reason})
        else:
            result.kept.append(replace(raw, question=question, answer=answer))
        assert len(result.kept) + len(result.dropped) == position + 1
    return result


def _clean_cell(cell: str | None, fixed: Counter[str]) -> str | None:
    if cell is None:
        return None
    text, rules = clean_text(cell)
    fixed.update(rules)
    return text


def _reason_to_drop(
    question: str | None, answer: str | None, clean: Clean, seen: set[tuple[str, str]]
) -> str | None:
    if question is None or answer is None:
        return "not_text"
    if not question:
        return "empty_question"
    if not answer:
        return "empty_answer"
    if question.casefold() == answer.casefold():
        return "answer_equals_question"
    words = len(answer.split())
    if words < clean.min_answer_words:
        return "answer_too_short"
    if words > clean.max_answer_words:
        return "answer_too_long"
    if (question, answer) in seen:
        return "duplicate"
    seen.add((question, answer))
    return None


def _count(result: Cleaned) -> dict[str, int]:
    """Returns the metrics; every reason and rule is there, with 0 where it met nothing."""
    reasons = Counter(row["reason"] for row in result.dropped)
    counts = {"records_in": len(result.kept) + len(result.dropped), "kept": len(result.kept)}
    counts |= {f"dropped.{reason}": reasons[reason] for reason in REASONS}
    return counts | {f"fixed.{rule}": result.fixed[rule] for rule in RULES}


def main() -> None:
    clean = load_params("clean")
    records = progress(read_records(RAW, clean), unit="record")
    result = clean_records(records, clean)
    counts = _count(result)
    dropped = [f"{reason} {counts[f'dropped.{reason}']}" for reason in REASONS]
    summary = f"dropped: {', '.join(dropped)}"
    if not result.kept:
        raise InputError(
            f"{RAW} has {counts['records_in']} records and none can be kept ({summary}): "
            "check clean.reader, clean.min_answer_words and clean.max_answer_words"
        )
    write_table(RECORDS, pa.Table.from_pylist([asdict(r) for r in result.kept], SCHEMA))
    write_table(DROPPED, pa.Table.from_pylist(result.dropped, DROPPED_SCHEMA))
    words = [len((record.answer or "").split()) for record in result.kept]
    bins = [count // BIN_WORDS * BIN_WORDS for count in words]
    kinds = [record.kind for record in result.kept]
    histogram = sorted(Counter(zip(kinds, bins, strict=True)).items())
    rows = [(kind, first, count) for (kind, first), count in histogram]
    write_csv(ANSWER_WORDS, ("kind", "words", "records"), rows)
    write_csv(KINDS, ("kind", "records"), sorted(Counter(kinds).items()))
    write_json(METRICS, counts)
    kept = f"{counts['records_in']} records in → {counts['kept']} kept → {RECORDS}"
    logger.info(f"{kept}; {summary} → {DROPPED}")


if __name__ == "__main__":
    run("clean", main)
