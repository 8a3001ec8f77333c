import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gradio_page.events import Events
from app.gradio_page.formatting import MESSAGES
from app.guard_remarks import GAP
from medtune.guard.notices import caution, notice
from tests.app.gradio_page.conftest import ANSWER, ME, chat, compare, run


def thumb(liked: Any, index: Any = 1, pane: str = "chat") -> Any:
    return SimpleNamespace(target=SimpleNamespace(elem_id=pane), index=index, liked=liked)


def rate(events: Events, given: Any, comment: str = "") -> Any:
    async def rated() -> Any:
        return await events.rate(given, ME), await events.save(comment, ME)  # type: ignore[arg-type]

    return asyncio.run(rated())


def test_a_rating_is_saved_with_its_comment(make: Any, spoken: Any, tmp_path: Path) -> None:
    events = make(spoken, type(spoken)(spoken.reply))
    run(chat(events, "What is gout?"))
    run(chat(events, "And now?", 0.0, 0.5, 64, "Be long."))
    asked, saved = rate(events, thumb(True, MESSAGES + 1), " Good. ")
    assert asked["panel"]["visible"] is True
    assert asked["comment"]["label"] == "What is good about it? (optional)"
    assert saved["panel"]["visible"] is False
    assert saved["chat"]["feedback_value"] == [None, "Like"]
    run(compare(events, "Why?"))
    rate(events, thumb(False, 0, "answer-base"))
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
        rate(events, thumb(True))
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
    asked, _ = rate(events, given)
    assert asked["panel"]["visible"] is False and not list(tmp_path.iterdir())


def test_an_answer_is_rated_once_and_a_full_disk_is_said(
    make: Any, spoken: Any, tmp_path: Path
) -> None:
    events = make(spoken)
    run(chat(events, "Hi"))
    events.folder = tmp_path / "file"
    events.folder.write_text("")
    assert rate(events, thumb(True))[1]["problem"] == "The rating could not be saved (File exists)."
    events.folder = tmp_path
    asyncio.run(events.rate(thumb(True), ME))  # type: ignore[arg-type]

    async def hurried() -> None:
        await asyncio.gather(*(events.save("", ME) for _ in range(2)))  # type: ignore[arg-type]

    asyncio.run(hurried())
    rate(events, thumb(True))
    assert (tmp_path / "liked.jsonl").read_text().count("\n") == 1
