import asyncio
from typing import Any

import pytest

from app.gradio_page.conversations import Conversations
from app.gradio_page.nearest_cards import NearestCards
from app.gradio_page.quiz import ALL_KNOWN, NO_CARDS, Quiz, QuizParts
from tests.app.gradio_page.conftest import ME

PARTS = QuizParts("card", "thought", "reveal", "ratings", "note")


@pytest.fixture
def quiz_of(build: Any, batch: Any) -> Any:
    assistant = build(batch).state.assistant
    return lambda cards: Quiz(Conversations(assistant, NearestCards(cards)), PARTS)


def test_a_card_is_asked_then_shown_then_rated(quiz_of: Any) -> None:
    quiz = quiz_of([("What is <gout>?", "A <i>disease</i>.")])
    asked = asyncio.run(quiz.start(ME))
    assert asked["card"] == "<h2>What is &lt;gout&gt;?</h2>"
    assert asked["reveal"]["visible"] is True and asked["ratings"]["visible"] is False
    assert asyncio.run(quiz.rate("knew", ME)) == {"note": "Look at the answer first."}
    shown = asyncio.run(quiz.reveal(ME))
    assert shown["card"].endswith("<p>A &lt;i&gt;disease&lt;/i&gt;.</p>")
    assert shown["reveal"]["visible"] is False and shown["ratings"]["visible"] is True
    last = asyncio.run(quiz.rating("knew")(ME))
    assert last["card"] == "" and last["reveal"]["visible"] is False
    assert last["note"] == f"1 card rated: 1 known, 0 partly known, 0 not known. {ALL_KNOWN}"


def test_nothing_is_shown_before_the_start_or_without_cards(quiz_of: Any) -> None:
    quiz = quiz_of([])
    assert asyncio.run(quiz.reveal(ME)) == {"note": "Start the quiz first."}
    assert asyncio.run(quiz.start(ME))["note"] == NO_CARDS
