"""The table of a system's answers: the cards, the answers, and what the scores sum up."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from medtune.config.schema import Metric
from medtune.scoring.evaluate_metrics import metric_columns
from medtune.scoring.scores import TextScorer

CARD_COLUMNS = ("id", "kind", "topic", "group", "question")  # taken over from the card
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in (*CARD_COLUMNS, "reference", "prediction")),
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
    cards: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Any]],
    score: TextScorer,
    metrics: Sequence[Metric] = (),
) -> pa.Table:
    """Returns the cards with their answers and the counts that medtune.scoring.scores sums.

    An answer has `prediction` and what else of SCHEMA is known of it; the rest comes from its text.
    Each of `metrics` adds a column.
    """
    rows = []
    for card, answer in zip(cards, answers, strict=True):
        texts = answer["prediction"], card["answer"], card["question"]
        columns = {name: card[name] for name in CARD_COLUMNS}
        rows.append(columns | {"reference": card["answer"]} | dict(answer) | score(*texts))
    table = pa.Table.from_pylist(rows, SCHEMA)
    texts = (table[name].to_pylist() for name in ("prediction", "reference"))
    for name, values in metric_columns(metrics, *texts).items():
        table = table.append_column(name, pa.array(values, pa.float64()))
    return table
