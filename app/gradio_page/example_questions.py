"""The questions that the chat page offers: those that the fine-tuned model answers well."""

from collections.abc import Callable
from pathlib import Path

ANSWERS = Path("data/predictions/finetuned_validation.parquet")
EXAMPLES = 6
LONGEST = 80  # characters of an example


def example_questions(suits: Callable[[str], bool], path: Path = ANSWERS) -> list[str]:
    """Returns for each kind of card the validation question that was answered best, by ROUGE-L.

    The best comes first. Only questions that suit are taken. The list is empty without answers.
    """
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    rows = pq.read_table(path).to_pylist()
    rows.sort(key=lambda row: (-row["rougeL_unicode"], row["question"]))
    by_kind: dict[str, str] = {}
    for row in rows:
        question = row["question"]
        if row["kind"] in by_kind or len(question) > LONGEST or row.get("history"):
            continue
        if suits(question):
            by_kind[row["kind"]] = question
    return list(by_kind.values())[:EXAMPLES]
