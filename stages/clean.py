"""Cleans the raw data set: every raw row becomes a record, or is dropped with a reason.

Reads data/raw and the section `clean` of params.yaml. Writes data/clean/records.parquet (in the
order of the raw files), data/clean/dropped.parquet (unchanged raw rows with the reason and their
position in `source`, from 0), metrics/clean.json and plots/data/{answer_words,kinds}.csv.
Run: python -m stages.clean
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from operator import attrgetter
from pathlib import Path

import pyarrow as pa

from medtune.cards.cleaning import RULES
from medtune.cards.exact_duplicates import Duplicates
from medtune.cards.filtering import RARE_REASONS, REASONS, FilteredCard, filter_cards, remedy_for
from medtune.cards.personal_data import KINDS as PERSONAL
from medtune.cards.readers import read_records
from medtune.cards.records import FIELDS, HISTORY, SCHEMA, Record, Row, Texts, batched, writing_rows
from medtune.cards.workers import map_in_order
from medtune.config.loading import load_params
from medtune.config.schema import Clean
from medtune.runtime.atomic_files import write_csv, write_json
from medtune.runtime.errors import InputError
from medtune.runtime.progress import progress
from medtune.runtime.stage import run

logger = logging.getLogger("medtune")

RAW = Path("data/raw")
RECORDS = Path("data/clean/records.parquet")
DROPPED = Path("data/clean/dropped.parquet")
METRICS = Path("metrics/clean.json")
ANSWER_WORDS = Path("plots/data/answer_words.csv")
KINDS = Path("plots/data/kinds.csv")

DROPPED_SCHEMA = pa.schema(
    [*map(SCHEMA.field, FIELDS), ("position", pa.int64()), ("reason", pa.string())]
)
BIN_WORDS = 10  # of the histogram of answer lengths; a bin is labelled with its lowest count
BATCH = 4096  # records that a process cleans at once
ALONE = 16  # batches that are cleaned in this process before others are started

raw_row = attrgetter(*FIELDS)


@dataclass
class Cleaning:
    """Sorts records into rows to keep and rows to drop, and counts both."""

    clean: Clean
    counts: Counter[str] = field(default_factory=Counter)  # the metrics
    bins: Counter[tuple[str, int]] = field(default_factory=Counter)  # cards by kind and length
    positions: Counter[str] = field(default_factory=Counter)  # rows so far, by source
    earlier: Duplicates = field(default_factory=Duplicates)

    def rows(self, records: Iterable[Record]) -> Iterator[tuple[bool, Row]]:
        """Yields whether each record is kept, and its row of SCHEMA + HISTORY or DROPPED_SCHEMA."""
        batches, ahead = tee(batched(records, BATCH))
        filtered_batches = map_in_order(
            partial(filter_cards, clean=self.clean), map(_texts, ahead), ALONE
        )
        for batch, (filtered, fixed) in zip(batches, filtered_batches, strict=True):
            self.counts.update({f"fixed.{rule}": count for rule, count in fixed.items()})
            for record, card in zip(batch, filtered, strict=True):
                yield self._decide(record, card)

    def _decide(self, record: Record, card: FilteredCard) -> tuple[bool, Row]:
        position = self.positions[record.source]
        self.positions[record.source] += 1
        self.counts["records_in"] += 1
        reason = record.drop_reason or card.reason
        reason = reason or ("duplicate" if self.earlier.has(card) else None)
        if reason in (None, "personal_data"):
            self.counts.update(f"personal.{kind}" for kind in card.personal)
        if reason:
            self.counts[f"dropped.{reason}"] += 1
            return False, (*raw_row(record), position, reason)
        self.counts["kept"] += 1
        self.counts["same_question_other_answer"] += self.earlier.has_question(card)
        history = record.retold(card.history)
        self.counts["with_history"] += bool(history)
        self.bins[record.kind, card.answer_words // BIN_WORDS * BIN_WORDS] += 1
        labels = record.kind, record.topic, record.source, record.fact_type, record.facts
        return True, (record.id, card.question, card.answer, *labels, history)

    def metrics(self) -> dict[str, int]:
        """Returns the counts of all reasons and rules, also those that are 0, but no rare ones."""
        names = ["records_in", "kept", "same_question_other_answer"]
        names += [f"dropped.{reason}" for reason in REASONS]
        names += [f"fixed.{rule}" for rule in RULES]
        if self.clean.personal_data != "ignore":
            names += [f"personal.{kind}" for kind in PERSONAL]
        rare = ["with_history", *(f"dropped.{reason}" for reason in RARE_REASONS)]
        names += [name for name in rare if self.counts[name]]
        dropped = sum(self.dropped().values())
        assert self.counts["records_in"] == self.counts["kept"] + dropped
        assert not +self.counts - Counter({name: self.counts[name] for name in names})
        return {name: self.counts[name] for name in names}

    def dropped(self) -> dict[str, int]:
        counts = {reason: self.counts[f"dropped.{reason}"] for reason in REASONS + RARE_REASONS}
        return {reason: count for reason, count in counts.items() if count}


def _texts(batch: list[Record]) -> list[Texts]:
    return [record.texts for record in batch]


def main() -> None:
    clean = load_params("clean")
    cleaning = Cleaning(clean)
    with (
        progress(read_records(RAW, clean), unit="record") as records,
        writing_rows(RECORDS, SCHEMA, HISTORY) as keep,
        writing_rows(DROPPED, DROPPED_SCHEMA) as drop,
    ):
        for keeps, row in cleaning.rows(records):
            (keep if keeps else drop)(row)
        counts, dropped = cleaning.metrics(), cleaning.dropped()
        reasons = [f"{reason} {count}" for reason, count in dropped.items()]
        summary = f"dropped: {', '.join(reasons) or 'none'}"
        if not counts["kept"]:
            raise InputError(
                f"{RAW} has {counts['records_in']} records and none can be kept ({summary}): "
                f"{remedy_for(dropped)}"
            )
    bins = sorted(cleaning.bins.items())
    rows = [(kind, first, count) for (kind, first), count in bins]
    kinds: Counter[str] = Counter()
    for kind, _, count in rows:
        kinds[kind] += count
    write_csv(ANSWER_WORDS, ("kind", "words", "records"), rows)
    write_csv(KINDS, ("kind", "records"), sorted(kinds.items()))
    write_json(METRICS, counts)
    kept = f"{counts['records_in']} records in → {counts['kept']} kept → {RECORDS}"
    logger.info(f"{kept}; {summary} → {DROPPED}")


if __name__ == "__main__":
    run("clean", main)
