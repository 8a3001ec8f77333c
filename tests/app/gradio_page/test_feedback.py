import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from app.gradio_page.feedback import Feedback
from medtune.cards.readers import read_records
from medtune.config.loading import load_params
from medtune.config.schema import Columns
from medtune.sources.fetch import fetch

SETTINGS = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 96, "system_prompt": "Be brief."}


def feedback(**changes: Any) -> Feedback:
    fields: dict[str, Any] = {
        "question": "What is gout?",
        "answer": "A disease of joints.",
        "liked": True,
        "comment": "",
        "model": "finetuned",
        "settings": SETTINGS,
        "turn": 1,
    }
    return Feedback(**fields | changes)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_rating_is_one_line_with_what_was_rated_and_nothing_about_who(tmp_path: Path) -> None:
    feedback(comment='"Grüße"\nµg\u2028\x85').save(tmp_path / "new/folder")
    feedback(liked=False).save(tmp_path / "new/folder")
    (line,) = (tmp_path / "new/folder/liked.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert json.loads(line) == {
        "question": "What is gout?",
        "answer": "A disease of joints.",
        "liked": True,
        "comment": '"Grüße"\nµg\u2028\x85',
        "model": "finetuned",
        "settings": SETTINGS,
        "turn": 1,
    }
    assert len(lines(tmp_path / "new/folder/disliked.jsonl")) == 1


def test_ratings_that_come_together_do_not_mix(tmp_path: Path) -> None:
    given = [feedback(question=f"{n}? " + "long " * 2_000) for n in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: each.save(tmp_path), given))
    found = {line["question"] for line in lines(tmp_path / "liked.jsonl")}
    assert found == {each.question for each in given}


def test_the_pipeline_reads_liked_answers_as_cards(tmp_path: Path) -> None:
    feedback(answer="Zeile\nzwei, ≥ 3 µg", comment="a\u2028b\x85").save(tmp_path)
    feedback(question="Why?", settings={}).save(tmp_path)
    feedback(question="Bad?", liked=False).save(tmp_path)
    fetch(f"file://{tmp_path / 'liked.jsonl'}", "dataset", tmp_path / "raw")
    columns = Columns(question="question", answer="answer", kind=None, topic=None)
    clean = load_params("clean").model_copy(update={"reader": "columns", "columns": columns})
    records = list(read_records(tmp_path / "raw", clean))
    assert [(record.question, record.answer) for record in records] == [
        ("What is gout?", "Zeile\nzwei, ≥ 3 µg"),
        ("Why?", "A disease of joints."),
    ]


def test_half_a_character_does_not_stop_a_rating(tmp_path: Path) -> None:
    feedback(comment="\ud800 ok").save(tmp_path)
    assert lines(tmp_path / "liked.jsonl")[0]["comment"] == "? ok"
