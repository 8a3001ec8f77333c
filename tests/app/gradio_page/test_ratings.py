import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gradio_page.formatting import MESSAGES
from app.gradio_page.ratings import Feedback, Ratings
from app.guard_remarks import GAP
from medtune.cards.readers import read_records
from medtune.config.loading import load_params
from medtune.config.schema import Columns
from medtune.guard.notices import caution, notice
from medtune.sources.fetch import fetch
from tests.app.gradio_page.conftest import ANSWER, ME, chat, compare, ratings_of, run

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


def thumb(liked: Any, index: Any = 1, pane: str = "chat") -> Any:
    return SimpleNamespace(target=SimpleNamespace(elem_id=pane), index=index, liked=liked)


def rate(ratings: Ratings, given: Any, comment: str = "") -> Any:
    async def rated() -> Any:
        return await ratings.rate(given, ME), await ratings.save(comment, ME)  # type: ignore[arg-type]

    return asyncio.run(rated())


@pytest.mark.slow
def test_a_rating_is_saved_with_its_comment(make: Any, spoken: Any, tmp_path: Path) -> None:
    events = make(spoken, type(spoken)(spoken.reply))
    ratings = ratings_of(events, tmp_path)
    run(chat(events, "What is gout?"))
    run(chat(events, "And now?", 0.0, 0.5, 64, "Be long."))
    asked, saved = rate(ratings, thumb(True, MESSAGES + 1), " Good. ")
    assert asked["panel"]["visible"] is True
    assert asked["comment"]["label"] == "What is good about it? (optional)"
    assert saved["panel"]["visible"] is False
    assert saved["chat"]["feedback_value"] == [None, "Like"]
    run(compare(events, "Why?"))
    rate(ratings, thumb(False, 0, "answer-base"))
    assert json.loads((tmp_path / "liked.jsonl").read_text()) == {
        "question": "And now?",
        "answer": ANSWER,
        "liked": True,
        "comment": "Good.",
        "model": "finetuned",
        "settings": {
            "temperature": 0.0,
            "top_p": 0.5,
            "max_new_tokens": 64,
            "system_prompt": "Be long.",
        },
        "turn": 2,
    }
    disliked = json.loads((tmp_path / "disliked.jsonl").read_text())
    assert (disliked["model"], disliked["question"]) == ("base", "Why?")


def test_a_saved_answer_holds_the_models_words_alone(
    make: Any, spoken: Any, tmp_path: Path
) -> None:
    events = make(spoken, spoken)
    run(chat(events, "How much aspirin?"))
    (turn,) = events.conversations.of("me").turns
    for answer in (f"{ANSWER}{GAP}{caution()}", notice("heart").plain, ""):
        turn.answer, turn.liked = answer, None
        rate(ratings_of(events, tmp_path), thumb(True))
    assert json.loads((tmp_path / "liked.jsonl").read_text())["answer"] == ANSWER


@pytest.mark.parametrize(
    "given",
    [thumb(True, 9), thumb(True, -4), thumb(True, [1]), thumb(""), thumb(True, 0, "answer-x")],
)
def test_what_is_not_there_or_taken_back_is_not_saved(
    make: Any, spoken: Any, tmp_path: Path, given: Any
) -> None:
    events = make(spoken)
    if given.liked == "" or given.target.elem_id == "chat":
        run(chat(events, "Hi"))
    asked, _ = rate(ratings_of(events, tmp_path), given)
    assert asked["panel"]["visible"] is False and not list(tmp_path.iterdir())


def test_an_answer_is_rated_once_and_a_full_disk_is_said(
    make: Any, spoken: Any, tmp_path: Path
) -> None:
    events = make(spoken)
    run(chat(events, "Hi"))
    ratings = ratings_of(events, tmp_path / "file")
    ratings.folder.write_text("")
    _, failed = rate(ratings, thumb(True))
    assert failed["problem"] == "The rating could not be saved (File exists)."
    ratings.folder = tmp_path
    asyncio.run(ratings.rate(thumb(True), ME))  # type: ignore[arg-type]

    async def hurried() -> None:
        await asyncio.gather(*(ratings.save("", ME) for _ in range(2)))  # type: ignore[arg-type]

    asyncio.run(hurried())
    rate(ratings, thumb(True))
    assert (tmp_path / "liked.jsonl").read_text().count("\n") == 1
