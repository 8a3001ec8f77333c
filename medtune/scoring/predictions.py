"""The table of a system's answers: the cards, the answers, and what the scores sum up."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from medtune.scoring.answer_counts import TextCounter

MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
HISTORY = pa.field("history", pa.list_(MESSAGE))  # only in data sets with conversations
THOUGHT = pa.field("thought", pa.bool_())  # only of models whose template knows thoughts
BATCH = 10_000  # rows that are Python objects at a time
CARD_COLUMNS = ("id", "kind", "topic", "group", "question")  # taken over from the card
TEXT_COLUMNS = (*CARD_COLUMNS, "reference", "prediction")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in TEXT_COLUMNS),
        ("nll", pa.float64()),  # of the reference's tokens, in nats; null if no model answers
        ("answer_tokens", pa.int64()),  # of the reference; null if no model answers
        ("stopped", pa.bool_()),
        ("new_tokens", pa.int64()),
        ("disclaimer", pa.bool_()),
        *((name, pa.float64()) for name in ("rouge1", "rouge2", "rougeL", "rougeL_unicode")),
        ("non_ascii", pa.bool_()),
        ("bleu_statistics", pa.list_(pa.int64())),
        ("chrf_statistics", pa.list_(pa.int64())),
        ("words", pa.int64()),
        ("reference_words", pa.int64()),
        ("repetition", pa.float64()),
        ("unsupported", pa.bool_()),
        ("unsupported_numbers", pa.string()),
    ]
)


def prediction_table(
    cards: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Any]], counter: TextCounter
) -> pa.Table:
    """Returns the cards with their answers and the counts that medtune.scoring.scores sums.

    An answer has `prediction` and what else of SCHEMA is known of it; the rest comes from its text.
    What was said before the question of a conversation counts as part of the question; only data
    with conversations has a column for it, as only answers of models that think have `thought`.
    So does each of evaluate.metrics.
    """
    names = dict.fromkeys(SCHEMA.names)

    def row(card: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        names.update(dict.fromkeys((*card, *answer)))
        history = card.get(HISTORY.name) or []
        said = [*(message["content"] for message in history), card["question"]]
        texts = answer["prediction"], card["answer"], "\n".join(said)
        columns = {name: card[name] for name in CARD_COLUMNS} | {HISTORY.name: history}
        return columns | {"reference": card["answer"]} | dict(answer) | counter(*texts)

    schema = SCHEMA.append(THOUGHT).append(HISTORY)
    for name in counter.columns:
        schema = schema.append(pa.field(name, pa.float64()))
        names[name] = None
    pairs = zip(cards, answers, strict=True)
    batches = []
    while rows := [row(*pair) for pair in islice(pairs, BATCH)]:
        batches.append(pa.RecordBatch.from_pylist(rows, schema))
    table = pa.Table.from_batches(batches, schema)
    return table.select([name for name in schema.names if name in names])


def texts_sha256(predictions: pa.Table) -> str:
    """Returns the sha256 of the cards and the answers, without what is counted in them."""
    history = [name for name in predictions.column_names if name == HISTORY.name]
    texts = predictions.select([*TEXT_COLUMNS, *history]).to_pydict()
    return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()
