"""The answers of both models side by side, as the report lists them."""

from typing import Any

import pyarrow as pa

from medtune.scoring.answer_counts import repetition
from medtune.scoring.word_splitting import join_words, written_words

SAME = 0.0005  # smaller differences are shown as 0.000
LOOPING = 0.2  # share of repeated 4-grams from which an answer is folded
MOST_SHOWN = 60  # words of a folded answer
LEAST_HIDDEN = 10  # words; to fold fewer saves no room


def side_by_side(tables: dict[str, pa.Table]) -> list[dict[str, Any]]:
    """Returns one mapping per test record with both answers, worst ROUGE-L regression first."""
    rows = tables["base"].select(["id", "kind", "topic", "question", "reference"]).to_pylist()
    for model, table in tables.items():
        answers = table.select(["prediction", "rougeL", "stopped"]).to_pylist()
        for row, answer in zip(rows, answers, strict=True):
            row[model] = answer["prediction"]
            row[f"{model}_score"] = answer["rougeL"]
            row[f"{model}_stopped"] = answer["stopped"]
    for row in rows:
        row["difference"] = row["finetuned_score"] - row["base_score"]
    return sorted(rows, key=lambda row: (row["difference"], row["id"]))


def answer_row(row: dict[str, Any]) -> dict[str, Any]:
    outcome = "better" if row["difference"] > 0 else "worse"
    return row | {
        "outcome": "same" if abs(row["difference"]) < SAME else outcome,
        "words": len(written_words(row["reference"])),
        "looping": {model: looping(row[model]) for model in ("base", "finetuned")},
    }


def looping(answer: str) -> tuple[str, int] | None:
    """Returns an answer up to its first repeated 4-gram and the number of all its words.

    Returns None unless the answer repeats itself and is long enough to be worth folding.
    """
    words = written_words(answer)
    shown = next((n for n in range(len(words)) if repetition(words[:n]) > 0), len(words))
    shown = min(shown, MOST_SHOWN)
    if repetition(words) < LOOPING or len(words) - shown < LEAST_HIDDEN:
        return None
    return join_words(words[:shown]), len(words)
