"""The page's handlers over a stand-in engine, called as Gradio calls them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.gradio_page.conversations import Conversations
from app.gradio_page.events import Asking, Components, Events
from app.gradio_page.nearest_cards import NearestCards
from app.gradio_page.ratings import Rating, Ratings
from medtune.guard.classifier import Assessment
from medtune.modeling.prompts import PromptEncoder

ANSWER = "Gout is <b>joint</b> & pain."
ESCAPED = "<p>Gout is &lt;b&gt;joint&lt;/b&gt; &amp; pain.</p>\n"
CARD = ("What is gout?", "A disease of <i>joints</i>.")
ME: Any = SimpleNamespace(session_hash="me")
# A name stands for a component of the page.
SETTINGS = ("temperature", "top_p", "max_new_tokens", "system_prompt")
ASKING = Asking("question", "send", "stop", "note", "alert")
PAGE = Components(
    model="model",
    chat="chat",
    chat_asking=ASKING,
    panes={"base": "base pane", "finetuned": "finetuned pane"},
    compare_asking=ASKING,
    tools="tools",
    record="record",
    settings={name: name for name in SETTINGS},
    rating_panel="panel",
)


@pytest.fixture
def spoken(batch: Any, encoder: PromptEncoder) -> Any:
    batch.reply = [*encoder.answer_ids(ANSWER), encoder.end_id]
    return batch


@pytest.fixture
def make(build: Callable[..., Any]) -> Callable[..., Events]:
    """Makes the handlers over batches."""

    def made(*batches: Any, **settings: Any) -> Events:
        assistant = build(*batches, run=True, **settings).state.assistant
        return Events(Conversations(assistant, NearestCards([CARD])), PAGE)

    return made


def given(question: str, *settings: Any) -> dict[str, Any]:
    values = settings or (0.0, 1.0, 64, "")
    asked = {"question": question, "model": "finetuned"}
    return asked | dict(zip(SETTINGS, values, strict=True))


def chat(events: Events, question: str, *settings: Any) -> Any:
    return events.chat(given(question, *settings), ME)  # type: ignore[arg-type]


def compare(events: Events, question: str) -> Any:
    return events.compare(given(question), ME)  # type: ignore[arg-type]


def ratings_of(events: Events, folder: Path) -> Ratings:
    """Returns the handlers of ratings on the same page, which keep them in the folder."""
    rating = Rating("panel", "comment", "problem")
    return Ratings(events.conversations, PAGE.chat, PAGE.panes, rating, folder)


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


def check(question: str, earlier: Any) -> Assessment:
    return Assessment(True, "heart" if "chest" in question else None)
