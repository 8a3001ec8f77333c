"""Adds to a table of predictions the columns from which the scores of content are summed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import pyarrow as pa

from medtune.content.content_words import CardTexts, content_f1, frames
from medtune.content.fact_marks import NO_FACTS, CardFacts, fact_frame, mark
from medtune.content.meaning import similarities
from medtune.runtime.errors import InputError

TEXTS = ["id", "kind", "question", "reference", "prediction"]
NO_FRAME: frozenset[str] = frozenset()
FRAME_CARDS = 20_000  # training cards of a kind that are read for its frame
BATCH = 10_000  # training cards that are Python objects at a time


def with_content(predictions: pa.Table, cards: pa.Table, training: pa.Table) -> pa.Table:
    """Returns the predictions with the columns that the scores of content sum up.

    `cards` are the records of the splits that were answered; `training` are those of the training
    split, from which the frames come. Without the columns `fact_type` and `facts` no card has
    facts. A column in `_rows` is 1 if the row counts for its scores; if not, it is 0, as they are.
    Rows may belong to several systems: one call for all of them encodes each reference once.
    """
    rows = predictions.select(TEXTS).to_pylist()
    frame_of = frames(evenly_spaced_cards(training))
    fact_frame_of = _fact_frames(frame_of, training)
    facts_of = dict(zip(cards["id"].to_pylist(), card_facts(cards), strict=True))
    if unknown := {row["id"] for row in rows} - facts_of.keys():
        raise InputError(
            f"{len(unknown)} predictions answer cards that data/split lacks, such as "
            f"{min(unknown)}: run dvc repro evaluate"
        )
    content, marks = [], []
    for row in rows:
        kind, asked, prediction = row["kind"], row["question"], row["prediction"]
        frame = frame_of.get(kind, NO_FRAME)
        content.append(content_f1(prediction, row["reference"], asked, frame))
        frame = fact_frame_of.get(kind, NO_FRAME)
        marks.append(mark(prediction, asked, facts_of[row["id"]], frame))
    similar = similarities([r["prediction"] for r in rows], [r["reference"] for r in rows])
    columns = {"meaning": pa.array(similar, pa.float64())}
    columns |= _counted("content_f1", "content_rows", content)
    columns |= _counted("facts_right", "facts_rows", [m.right for m in marks])
    columns |= _counted("list_precision", "list_rows", [m.precision for m in marks])
    columns |= _counted("list_recall", "list_rows", [m.recall for m in marks])
    for name, values in columns.items():
        predictions = predictions.append_column(name, values)
    return predictions


def evenly_spaced_cards(training: pa.Table) -> Iterator[CardTexts]:
    """Yields at most FRAME_CARDS cards of each kind, evenly spread over all of the kind."""
    counts = training["kind"].value_counts().to_pylist()
    steps = {row["values"]: -(-row["counts"] // FRAME_CARDS) for row in counts}
    seen = Counter[str]()
    for batch in training.select(["kind", "question", "answer"]).to_batches(BATCH):
        for card in zip(*batch.to_pydict().values(), strict=True):
            if seen[card[0]] % steps[card[0]] == 0:
                yield card
            seen[card[0]] += 1


def card_facts(cards: pa.Table | pa.RecordBatch) -> list[CardFacts]:
    """Returns the facts of each card; none if the table lacks the columns."""
    if "facts" not in cards.column_names:
        return [NO_FACTS] * cards.num_rows
    columns = cards["fact_type"].to_pylist(), cards["facts"].to_pylist()
    return [CardFacts(*facts) for facts in zip(*columns, strict=True)]


def _fact_frames(
    frame_of: dict[str, frozenset[str]], training: pa.Table
) -> dict[str, frozenset[str]]:
    wordings: dict[str, set[str]] = defaultdict(set)
    for batch in training.to_batches(BATCH):
        for kind, known in zip(batch["kind"].to_pylist(), card_facts(batch), strict=True):
            wordings[kind].update(wording for fact in known.facts for wording in fact)
    return {kind: fact_frame(frame, wordings[kind]) for kind, frame in frame_of.items()}


def _counted(name: str, rows: str, values: Sequence[float | None]) -> dict[str, pa.Array]:
    """Returns a column of values, 0 where there is none, and the column that counts them."""
    return {
        name: pa.array([value or 0.0 for value in values], pa.float64()),
        rows: pa.array([int(value is not None) for value in values], pa.int64()),
    }
