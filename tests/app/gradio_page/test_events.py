"""The page's handlers over a stand-in engine, called as Gradio calls them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gradio_page import conversations
from app.gradio_page.alerts import alert
from app.gradio_page.conversations import BUSY, Conversations
from app.gradio_page.events import Asking, Components, Events, Rating
from app.gradio_page.formatting import MESSAGES
from app.gradio_page.nearest_cards import NearestCards
from app.remarks import GAP, Remarker
from medtune.guard.classifier import Verdict
from medtune.guard.notices import caution, notice
from medtune.modeling.prompts import PromptEncoder

ANSWER = "Gout is <b>joint</b> & pain."
ESCAPED = "Gout is &lt;b&gt;joint&lt;/b&gt; &amp; pain."
CARD = ("What is gout?", "A disease of <i>joints</i>.")
ME = SimpleNamespace(session_hash="me")
# A name stands for a component of the page.
SETTINGS = ("temperature", "top_p", "max_new_tokens", "system_prompt")
ASKING = Asking("question", "send", "stop", "note", "alert")
PAGE = Components(
    model="model",
    chat="chat",
    chat_asking=ASKING,
    panes={"base": "base pane", "finetuned": "finetuned pane"},
    compare_asking=ASKING,
    settings={name: name for name in SETTINGS},
    rating=Rating("panel", "comment", "problem"),
)


@pytest.fixture
def spoken(batch: Any, encoder: PromptEncoder) -> Any:
    batch.reply = [*encoder.answer_ids(ANSWER), encoder.end_id]
    return batch


@pytest.fixture
def make(build: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Events]]:
    """Makes the handlers over batches; the engine is stopped after the test."""
    engines = []

    def made(*batches: Any, **settings: Any) -> Events:
        assistant = build(*batches, **settings).state.assistant
        engines.append((assistant.engine, batches))
        assistant.engine.start()
        return Events(Conversations(assistant, NearestCards([CARD])), PAGE, tmp_path)

    yield made
    for engine, batches in engines:
        for each in batches:
            each.gate.set()
        engine.stop()


def given(question: str, *settings: Any) -> dict[str, Any]:
    values = settings or (0.0, 1.0, 64, "")
    asked = {"question": question, "model": "finetuned"}
    return asked | dict(zip(SETTINGS, values, strict=True))


def chat(events: Events, question: str, *settings: Any) -> Any:
    return events.chat(given(question, *settings), ME)  # type: ignore[arg-type]


def compare(events: Events, question: str) -> Any:
    return events.compare(given(question), ME)  # type: ignore[arg-type]


async def gather(updates: AsyncIterator[Any]) -> list[Any]:
    return [update async for update in updates]


def run(updates: AsyncIterator[Any]) -> list[Any]:
    return asyncio.run(gather(updates))


def texts(shown: list[dict[str, Any]]) -> list[str]:
    return [message["content"]["text"] for message in shown]


def shown_of(updates: list[Any], component: str = "chat") -> list[list[str]]:
    return [texts(update[component]) for update in updates if component in update]


def note_of(updates: list[Any]) -> str:
    return updates[-1]["note"]


def test_an_answer_grows_and_ends_with_its_nearest_cards(make: Any, spoken: Any) -> None:
    spoken.step_s = 0.01
    updates = run(chat(make(spoken), "What is gout?"))
    first, *_, last = shown_of(updates)
    assert first == ["What is gout?", "…"]
    assert last[:2] == ["What is gout?", ESCAPED]
    assert last[2] == "What is gout?\nA disease of &lt;i&gt;joints&lt;/i&gt;.\nscore 1.00"
    assert updates[-1]["chat"][2]["metadata"]["title"] == "Fine-tuned · 1 close training card"
    grown = [shown[1] for shown in shown_of(updates)[1:]]
    assert len(set(grown)) > 3 and all(ESCAPED.startswith(text.rstrip("…")[:5]) for text in grown)
    assert updates[0]["question"] == "" and "question" not in updates[-1]
    for update, sends in ((updates[0], False), (updates[-1], True)):
        assert (update["send"]["visible"], update["stop"]["visible"]) == (sends, not sends)
    assert note_of(updates) == ""


def test_no_close_card_is_said(make: Any, spoken: Any) -> None:
    last = run(chat(make(spoken), "Why is the sky blue?"))[-1]
    assert last["chat"][2]["metadata"]["title"] == "Fine-tuned · no close card"


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


def test_a_conversation_continues_beyond_the_limit_of_messages(make: Any, spoken: Any) -> None:
    events = make(spoken, max_messages=4)
    notes = [note_of(run(chat(events, f"{n}?"))) for n in range(3)]
    assert notes == [
        "",
        "",
        "This conversation is long; the model no longer sees your first question.",
    ]


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


def test_stop_ends_the_computation_and_keeps_what_was_said(make: Any, spoken: Any) -> None:
    spoken.reply, spoken.step_s = [65] * 500, 0.01
    events = make(spoken)
    stop = lambda: events.stop(ME)  # type: ignore[arg-type]  # noqa: E731
    updates = asyncio.run(interrupted(events, chat(events, "Hi"), spoken, stop))
    assert note_of(updates) == "Stopped."
    (turn,) = events.conversations.of("me").turns
    assert turn.answer and texts(updates[-1]["chat"])[1] == turn.answer
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
    assert [shown[0] for shown in shown_of(updates, "base pane")][-1] == "Base."
    assert [shown[0] for shown in shown_of(updates, "finetuned pane")][-1] == ESCAPED
    assert len(updates[-1]["finetuned pane"]) == MESSAGES - 1
    assert spoken.prompts == base.prompts == [encoder.question_ids("What is gout?")]


def check(question: str, earlier: Any) -> Verdict:
    return Verdict(True, "heart" if "chest" in question else None)


def test_an_emergency_is_an_alert_that_stays_until_the_conversation_is_cleared(
    make: Any, spoken: Any
) -> None:
    events = make(spoken, remarks=Remarker(check, "block").remarks)
    updates = run(chat(events, "My chest hurts"))
    alerts = [update["alert"] for update in updates if "alert" in update]
    assert alerts == [alert(notice("heart"))]
    assert texts(updates[-1]["chat"])[1] == ESCAPED  # without the notice
    assert not [update for update in run(chat(events, "What is gout?")) if "alert" in update]
    cleared = asyncio.run(events.clear(ME))
    assert cleared["alert"] == ""
    assert not [update for update in run(chat(events, "What is gout?")) if "alert" in update]


def test_a_turn_that_is_dropped_leaves_its_alert_and_its_distress(
    make: Any, spoken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[list[str]] = []

    def remembered(question: str, earlier: Any) -> Verdict:
        judged.append([*earlier, question])
        return Verdict(True, "heart" if "chest" in question else None, distress=True)

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
    assert texts(last[-1]["chat"])[1] == "Please get help first."


def test_a_question_that_the_model_no_longer_sees_is_still_judged(
    make: Any, spoken: Any, encoder: PromptEncoder
) -> None:
    judged: list[list[str]] = []

    def remembered(question: str, earlier: Any) -> Verdict:
        judged.append([*earlier, question])
        return Verdict(True)

    remarks = Remarker(remembered, "block").remarks
    events = make(spoken, max_messages=2, remarks=remarks)
    for question in ("One?", "Two?", "Three?"):
        run(chat(events, question))
    assert judged[-1] == ["One?", "Two?", "Three?"]


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
