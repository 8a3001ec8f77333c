"""What a reader asks again, edits, or opens from the browser's history."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gradio_page.alerts import alert
from app.gradio_page.events import Events
from app.gradio_page.formatting import MESSAGES
from app.guard_remarks import Remarker
from medtune.guard.classifier import Assessment
from medtune.guard.notices import notice
from medtune.modeling.prompts import PromptEncoder
from tests.app.gradio_page.conftest import (
    ANSWER,
    ESCAPED,
    ME,
    chat,
    check,
    given,
    ratings_of,
    run,
    texts,
)


def again(events: Events, *settings: Any) -> Any:
    return events.again(given("", *settings), ME)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_last_question_is_asked_again_with_the_present_settings(
    make: Any, spoken: Any, encoder: PromptEncoder
) -> None:
    events = make(spoken)
    assert run(again(events))[-1] == {"note": "There is no question yet."}
    run(chat(events, "Hi"))
    run(chat(events, "What is gout?"))
    spoken.reply = [*encoder.answer_ids("New."), encoder.end_id]
    last = run(again(events, 0.0, 1.0, 9, ""))[-1]
    assert spoken.prompts[1] == spoken.prompts[2] and spoken.params[2].max_new_tokens == 9
    shown = texts(last["chat"])
    assert len(shown) == 2 * MESSAGES and shown[-1].startswith("<p>New.</p>")
    assert [turn["answer"] for turn in json.loads(last["record"])["turns"]] == [ANSWER, "New."]


def test_an_answer_stays_if_there_is_no_new_one(make: Any, spoken: Any) -> None:
    events = make(spoken)
    run(chat(events, "Hi"))
    spoken.error = ValueError("broken")
    updates = run(again(events))
    assert texts(updates[-1]["chat"])[1].startswith(ESCAPED) and updates[-1]["question"] == ""
    assert "failed" in updates[-2]["note"]
    assert len(events.conversations.of("me").turns) == 1


def test_a_question_can_be_edited_and_its_alert_stays(make: Any, spoken: Any) -> None:
    events = make(spoken, remarks=Remarker(check, "block").remarks)
    assert asyncio.run(events.edit(ME)) == {"note": "There is no question yet."}
    run(chat(events, "My chest hurts"))
    edited = asyncio.run(events.edit(ME))
    assert edited["question"] == "My chest hurts" and edited["chat"] == []
    assert edited["record"] == "" and edited["tools"]["visible"] is False
    assert events.conversations.of("me").notice == notice("heart") and "alert" not in edited


def test_a_question_that_was_edited_away_still_shows_its_distress(make: Any, spoken: Any) -> None:
    judged: list[list[str]] = []

    def sad(question: str, earlier: Any) -> Assessment:
        judged.append([*earlier, question])
        return Assessment(True, distress=True)

    events = make(spoken, remarks=Remarker(sad, "warn").remarks)
    run(chat(events, "I feel low"))
    asyncio.run(events.edit(ME))
    run(chat(events, "What is gout?"))
    assert judged[-1] == ["I feel low", "What is gout?"]


@pytest.mark.slow
def test_a_kept_conversation_goes_on_with_its_alert_but_cannot_be_rated(
    make: Any, spoken: Any, tmp_path: Path
) -> None:
    events = make(spoken, remarks=Remarker(check, "block").remarks)
    record = run(chat(events, "My <chest> hurts"))[-1]["record"]
    asyncio.run(events.clear(ME))
    restored = asyncio.run(events.restore(record, ME))
    assert restored["alert"] == alert(notice("heart")) and restored["tools"]["visible"] is True
    assert texts(restored["chat"])[0] == "My &lt;chest&gt; hurts"
    assert json.loads(restored["record"])["id"] == json.loads(record)["id"]
    liked = SimpleNamespace(target=SimpleNamespace(elem_id="chat"), index=1, liked=True)
    ratings = ratings_of(events, tmp_path)
    rated = asyncio.run(ratings.rate(liked, ME))  # type: ignore[arg-type]
    assert rated["panel"]["visible"] is False
    run(chat(events, "And now?"))
    assert len(events.conversations.of("me").turns) == 2


def test_what_is_no_conversation_is_not_restored(make: Any, spoken: Any) -> None:
    events = make(spoken)
    run(chat(events, "Hi"))
    for text, problem in (
        (None, "Choose a conversation first."),
        ("", "Choose a conversation first."),
        ("{}", "This conversation cannot be opened here."),
        ("[]", "This conversation cannot be opened here."),
    ):
        assert asyncio.run(events.restore(text, ME)) == {"note": problem}
    assert len(events.conversations.of("me").turns) == 1
