from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from app.gradio_page.measured import EXAMPLES, examples, verdict_html


def test_the_page_says_what_the_tests_found_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "compare_systems.json"
    assert verdict_html(path) == ""
    path.write_text('{"n": 240, "verdict.sentence": "It is better in <b>."}', encoding="utf-8")
    assert (
        verdict_html(path).strip()
        == "<p>It is better in &lt;b&gt;. Measured on 240 test cards.</p>"
    )


def test_examples_are_the_best_answered_question_of_each_kind_that_suits(tmp_path: Path) -> None:
    rows = [
        (f"kind {n}", f"Question {n}.{score}?", score / 10) for n in range(8) for score in (2, n)
    ]
    rows += [("kind 7", "Blocked?", 0.9), ("kind 6", "long " * 20, 0.9), ("kind 6", "Best?", 0.8)]
    kinds, questions, scores = zip(*rows, strict=True)
    path = tmp_path / "finetuned_validation.parquet"
    table = {"kind": kinds, "question": questions, "rougeL_unicode": scores}
    pq.write_table(pa.table(table), path)
    found = examples(lambda question: question != "Blocked?", path)
    assert found[:4] == ["Best?", "Question 7.7?", "Question 5.5?", "Question 4.4?"]
    assert len(found) == EXAMPLES
    assert examples(lambda _: True, tmp_path / "none.parquet") == []
