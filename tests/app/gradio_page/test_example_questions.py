from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.gradio_page.example_questions import EXAMPLES, example_questions


def test_examples_are_the_best_answered_question_of_each_kind_that_suits(tmp_path: Path) -> None:
    rows = [
        (f"kind {n}", f"Question {n}.{score}?", score / 10) for n in range(8) for score in (2, n)
    ]
    rows += [("kind 7", "Blocked?", 0.9), ("kind 6", "long " * 20, 0.9), ("kind 6", "Best?", 0.8)]
    kinds, questions, scores = zip(*rows, strict=True)
    path = tmp_path / "finetuned_validation.parquet"
    table = {"kind": kinds, "question": questions, "rougeL_unicode": scores}
    pq.write_table(pa.table(table), path)
    found = example_questions(lambda question: question != "Blocked?", path)
    assert found[:4] == ["Best?", "Question 7.7?", "Question 5.5?", "Question 4.4?"]
    assert len(found) == EXAMPLES
    assert example_questions(lambda _: True, tmp_path / "none.parquet") == []
