"""The page's handlers over a stand-in engine, called as Gradio calls them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.gradio_page import conversations
from app.gradio_page.alerts import alert
from app.gradio_page.conversations import BUSY
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
    compare,
    gather,
    note_of,
    run,
    shown_of,
    texts,
)


@pytest.mark.slow
def test_an_answer_grows_and_ends_with_its_nearest_cards(make: Any, spoken: Any) -> None:
    spoken.step_s = 0.01
    updates = run(chat(make(spoken), "What is gout?"))
    first, *_, last = shown_of(updates)
    assert first == ["What is gout?", "<p>…</p>\n"]
    assert last[0] == "What is gout?" and last[1].startswith(ESCAPED)
    assert "Fine-tuned · 1 similar training card" in last[1]
    assert "A disease of &lt;i&gt;joints&lt;/i&gt;.<br><small>100% of the" in last[1]
    grown = [shown[1] for shown in shown_of(updates)[1:]]
    assert len(set(grown)) > 3 and all(text[:5] in (ESCAPED[:5], "<p>…<") for text in grown)
    assert updates[0]["question"] == "" and "question" not in updates[-1]
    for update, sends in ((updates[0], False), (updates[-1], True)):
        assert (update["send"]["visible"], update["stop"]["visible"]) == (sends, not sends)
    assert note_of(updates) == ""


def test_turns_settings_and_system_prompt_reach_the_model(
    make: Any, spoken: Any, encoder: PromptEncoder
) -> None:
    events = make(spoken)
    run(chat(events, "Hi"))
    updates = run(chat(events, "And <|im_end|>?", 0.0, 1.0, 3, " Be long. "))
    turns = [
        {"role": "system", "content": "Be long."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": "And <|im_end|>?"},
    ]
    assistant = events.conversations.assistant
    assert spoken.prompts == [
        encoder.prompt_ids([{"role": "user", "content": "Hi"}]),
        assistant.encoder.prompt_ids(turns),
    ]
    assert len(shown_of(updates)[-1]) == 2 * MESSAGES
    assert note_of(updates) == "Cut at the maximum length; you can raise it in the settings."


@pytest.mark.slow
def test_a_long_conversation_continues_without_its_oldest_turns(
    make: Any, spoken: Any, encoder: PromptEncoder
) -> None:
    one = len(encoder.question_ids("Hi"))
    events = make(spoken, max_prompt_tokens=3 * one + 60)
    notes = [note_of(run(chat(events, f"Question {n}"))) for n in range(4)]
    assert notes[0] == ""
    assert notes[-1].startswith("This conversation is long; the model no longer sees your first ")
    assert all(len(prompt) <= 3 * one + 60 for prompt in spoken.prompts)
    assert len(events.conversations.of("me").turns) == 4
    refused = run(chat(events, "long " * 300))[-1]
    assert refused["question"] == "long " * 300 and "only 180 fit" in refused["note"]


@pytest.mark.slow
def test_a_conversation_continues_beyond_the_limit_of_messages(make: Any, spoken: Any) -> None:
    events = make(spoken, max_messages=4)
    notes = [note_of(run(chat(events, f"{n}?"))) for n in range(3)]
    assert notes == [
        "",
        "",
        "This conversation is long; the model no longer sees your first question.",
    ]


@pytest.mark.slow
def test_only_so_many_turns_are_kept(
    make: Any, spoken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "TURNS", 2)
    events = make(spoken)
    for n in range(4):
        last = run(chat(events, f"{n}?"))[-1]
    assert texts(last["chat"])[0] == "2?" and len(last["chat"]) == 2 * MESSAGES
    assert "your first question." in last["note"]


async def interrupted(events: Events, updates: Any, batch: Any, end: Callable[[], Any]) -> Any:
    """Takes updates until the model speaks, calls `end`, and takes the rest."""
    taken = []
    async for update in updates:
        taken.append(update)
        if len(taken) == 3:
            await end()
            steps = batch.steps
    await asyncio.sleep(0.05)
    assert batch.steps <= steps + 1
    return taken


@pytest.mark.slow
def test_stop_ends_the_computation_and_keeps_what_was_said(make: Any, spoken: Any) -> None:
    spoken.reply, spoken.step_s = [65] * 500, 0.01
    events = make(spoken)
    stop = lambda: events.stop(ME)  # type: ignore[arg-type]  # noqa: E731
    updates = asyncio.run(interrupted(events, chat(events, "Hi"), spoken, stop))
    assert note_of(updates) == "Stopped."
    (turn,) = events.conversations.of("me").turns
    assert turn.answer and turn.answer in texts(updates[-1]["chat"])[1]
    spoken.reply = spoken.reply[:5]
    assert len(shown_of(run(chat(events, "And now?")))[-1]) == 2 * MESSAGES


def test_a_question_stopped_before_its_first_token_comes_back(make: Any, spoken: Any) -> None:
    async def stopped(events: Events) -> Any:
        updates = chat(events, "Hi")
        taken = [await anext(updates), await anext(updates)]
        await events.stop(ME)  # type: ignore[arg-type]
        return [*taken, *[update async for update in updates]]

    class Slow(type(spoken)):  # type: ignore[misc]
        def join(self, *arguments: Any) -> list[int]:
            self.gate.wait(10)
            return super().join(*arguments)

    slow = Slow()
    slow.gate.clear()
    last = asyncio.run(stopped(make(slow)))[-1]
    assert last["chat"] == [] and last["question"] == "Hi" and last["note"] == "Stopped."


@pytest.mark.slow
@pytest.mark.parametrize("how", ["leaves", "closes", "clears"])
def test_a_reader_who_goes_stops_the_computation(make: Any, spoken: Any, how: str) -> None:
    spoken.reply, spoken.step_s = [65] * 500, 0.01
    events = make(spoken)
    updates = chat(events, "Hi")
    ends = {
        "leaves": lambda: events.leave(ME),  # type: ignore[arg-type]
        "closes": lambda: updates.aclose(),
        "clears": lambda: events.clear(ME),  # type: ignore[arg-type]
    }
    taken = asyncio.run(interrupted(events, updates, spoken, ends[how]))
    conversation = events.conversations.of("me")
    assert not conversation.is_busy
    if how == "clears":
        assert conversation.turns == [] and "chat" not in taken[-1]


def test_what_cannot_be_answered_is_one_line_and_the_question_comes_back(
    make: Any, spoken: Any
) -> None:
    events = make(spoken, spoken, max_rows=1, max_waiting=1)
    assert note_of(run(chat(events, " \n"))) == "Type a question first."
    spoken.error = ValueError("secret")
    last = run(chat(events, "Hi"))[-1]
    assert last["chat"] == [] and last["question"] == "Hi"
    assert last["note"] == "The answer failed: see the server&#x27;s log."
    spoken.error = None
    events.conversations.assistant.engine.stop()  # as if the queue were full
    for asked in (chat(events, "Hi"), compare(events, "Hi")):
        last = run(asked)[-1]
        assert last.get("question", "Hi") == "Hi"
        assert last["note"] == "Too many requests are waiting: try again in 5 seconds."
        assert last["send"]["visible"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "settings"),
    [
        ("\ud800", (0.0, 1.0, 64, "")),
        ("Hi", (float("nan"), 1.0, 64, "")),
        ("Hi", (0.0, float("inf"), 64, "")),
        ("Hi", (-1.0, 1.0, 64, "")),
        ("Hi", (0.0, 1.0, 64, None)),
    ],
)
def test_what_no_browser_sends_does_not_reach_the_model(
    make: Any, spoken: Any, question: str, settings: Any
) -> None:
    said = note_of(run(chat(make(spoken), question, *settings)))
    assert said == "The question or a setting is not valid: reload the page."
    assert note_of(run(chat(make(spoken), None))) == "Type a question first."  # type: ignore[arg-type]
    assert not spoken.prompts


def test_one_answer_at_a_time(make: Any, spoken: Any) -> None:
    spoken.gate.clear()
    events = make(spoken, spoken)

    async def twice() -> Any:
        first, together = chat(events, "Hi"), chat(events, "At once")
        await anext(first), await anext(together)
        await anext(first)
        others = (together, chat(events, "Again"), compare(events, "Again"))
        last = [await gather(each) for each in others]
        await first.aclose()
        return last

    for updates in asyncio.run(twice()):
        assert len(updates) == 1 and updates[0]["note"] == BUSY
    assert len(spoken.prompts) == 1


def test_both_models_answer_side_by_side(make: Any, spoken: Any, encoder: PromptEncoder) -> None:
    base = type(spoken)([*encoder.answer_ids("Base."), encoder.end_id])
    events = make(spoken, base)
    updates = run(compare(events, "What is gout?"))
    assert shown_of(updates, "base pane")[-1][0].startswith("<p>Base.</p>")
    assert shown_of(updates, "finetuned pane")[-1][0].startswith(ESCAPED)
    assert len(updates[-1]["finetuned pane"]) == MESSAGES - 1
    assert spoken.prompts == base.prompts == [encoder.question_ids("What is gout?")]


@pytest.mark.slow
def test_an_emergency_is_an_alert_that_stays_until_the_conversation_is_cleared(
    make: Any, spoken: Any
) -> None:
    events = make(spoken, remarks=Remarker(check, "block").remarks)
    updates = run(chat(events, "My chest hurts"))
    alerts = [update["alert"] for update in updates if "alert" in update]
    assert alerts == [alert(notice("heart"))]
    assert texts(updates[-1]["chat"])[1].startswith(ESCAPED)  # without the notice
    assert not [update for update in run(chat(events, "What is gout?")) if "alert" in update]
    cleared = asyncio.run(events.clear(ME))
    assert cleared["alert"] == ""
    assert not [update for update in run(chat(events, "What is gout?")) if "alert" in update]


@pytest.mark.slow
def test_a_turn_that_is_dropped_leaves_its_alert_and_its_distress(
    make: Any, spoken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[list[str]] = []

    def remembered(question: str, earlier: Any) -> Assessment:
        judged.append([*earlier, question])
        return Assessment(True, "heart" if "chest" in question else None, distress=True)

    monkeypatch.setattr(conversations, "TURNS", 1)
    events = make(spoken, remarks=Remarker(remembered, "block").remarks)
    for question in ("My chest hurts", "One?", "Two?", "Three?"):
        updates = run(chat(events, question))
    assert not [update for update in updates if "alert" in update]  # it stays as it is
    assert events.conversations.of("me").notice == notice("heart")
    assert judged[-1] == ["My chest hurts", "Two?", "Three?"]
    asyncio.run(events.clear(ME))
    run(chat(events, "Four?"))
    assert judged[-1] == ["Four?"]


def test_a_comparison_shows_the_alert_of_its_own_question(make: Any, spoken: Any) -> None:
    events = make(spoken, type(spoken)(spoken.reply), remarks=Remarker(check, "block").remarks)
    first = run(compare(events, "My chest hurts"))
    assert [each["alert"] for each in first if "alert" in each] == ["", alert(notice("heart"))]
    second = run(compare(events, "What is gout?"))
    assert [each["alert"] for each in second if "alert" in each] == [""]


def test_help_comes_first_where_the_model_cannot_answer(make: Any, spoken: Any) -> None:
    events = make(spoken, remarks=Remarker(check, "block").remarks)
    events.conversations.assistant.engine.stop()
    last = run(chat(events, "My chest hurts"))
    assert [each["alert"] for each in last if "alert" in each] == [alert(notice("heart"))]
    assert texts(last[-1]["chat"])[1].startswith("<p>Please get help first.</p>")


def test_a_question_that_the_model_no_longer_sees_is_still_judged(
    make: Any, spoken: Any, encoder: PromptEncoder
) -> None:
    judged: list[list[str]] = []

    def remembered(question: str, earlier: Any) -> Assessment:
        judged.append([*earlier, question])
        return Assessment(True)

    remarks = Remarker(remembered, "block").remarks
    events = make(spoken, max_messages=2, remarks=remarks)
    for question in ("One?", "Two?", "Three?"):
        run(chat(events, question))
    assert judged[-1] == ["One?", "Two?", "Three?"]


def test_old_conversations_are_forgotten(
    make: Any, spoken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = make(spoken)
    run(chat(events, "Hi"))
    monkeypatch.setattr(conversations, "READERS", 2)
    readers = events.conversations
    readers.of("second")
    assert readers.of("me").turns
    readers.of("third")
    assert readers.of("me").turns
    readers.of("me").is_busy = True
    for name in "abc":
        readers.of(name)
    assert readers.of("me").turns
    readers.of("me").is_busy = False
    readers.of("me").used -= conversations.IDLE_S + 1
    readers._all.move_to_end("me", last=False)
    readers.of("third")
    assert not readers.of("me").turns
