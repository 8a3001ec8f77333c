"""The tab with a quiz from the training cards: read, think, look at the answer, rate yourself.

What a reader types stays in the browser, and ratings last as long as the page.
"""

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, NamedTuple, get_args

import gradio as gr

from app.gradio_page.conversations import Conversation, Conversations
from app.gradio_page.event_options import FREE, HIDE, SHOW, Updates
from app.gradio_page.quiz_round import QuizRound, Rating

BUTTONS: dict[Rating, str] = {
    "knew": "I knew it (1)",
    "partly": "Partly (2)",
    "missed": "I did not know (3)",
}
INTRODUCTION = (
    "<p>Read the question of a training card, think of the answer, look at it and rate yourself. "
    "Cards that you did not know come back. Nothing is saved.</p>"
)
NO_CARDS = "There are no training cards: run make first."
ALL_KNOWN = "You knew all cards of this round. Start again whenever you like."


class QuizParts(NamedTuple):
    """The components of the tab that change."""

    card: Any
    thought: Any
    reveal: Any
    ratings: Any
    note: Any


class Quiz:
    """The handlers of the tab."""

    def __init__(self, conversations: Conversations, parts: QuizParts) -> None:
        self.conversations, self.parts = conversations, parts

    async def start(self, request: gr.Request) -> Updates:
        """Shuffles the cards and asks the first."""
        conversation = self._of(request)
        conversation.quiz = QuizRound(conversation.nearest_cards.cards)
        return {**self._ask(conversation.quiz), self.parts.note: "" if self._cards else NO_CARDS}

    async def reveal(self, request: gr.Request) -> Updates:
        """Shows the answer under the question."""
        quiz = self._of(request).quiz
        if quiz is None or quiz.card is None:
            return {self.parts.note: "Start the quiz first."}
        quiz.is_revealed = True
        parts = self.parts
        return {parts.card: card_html(*quiz.card), parts.reveal: HIDE, parts.ratings: SHOW}

    def rating(self, rating: Rating) -> Callable[[gr.Request], Awaitable[Updates]]:
        """Returns the handler of one button; Gradio finds no request in a partial function."""

        async def rate(request: gr.Request) -> Updates:
            return await self.rate(rating, request)

        return rate

    async def rate(self, rating: Rating, request: gr.Request) -> Updates:
        """Counts how well the card was known, and asks the next one."""
        quiz = self._of(request).quiz
        if quiz is None or not quiz.is_revealed:
            return {self.parts.note: "Look at the answer first."}
        quiz.rate(rating)
        note = quiz.progress if quiz.card else f"{quiz.progress} {ALL_KNOWN}"
        return {**self._ask(quiz), self.parts.note: note}

    def _ask(self, quiz: QuizRound) -> Updates:
        parts, has_card = self.parts, quiz.card is not None
        return {
            parts.card: card_html(quiz.card[0]) if quiz.card else "",
            parts.thought: gr.update(value="", visible=has_card),
            parts.reveal: gr.update(visible=has_card),
            parts.ratings: HIDE,
        }

    @property
    def _cards(self) -> Any:
        return self.conversations.nearest_cards.cards

    def _of(self, request: gr.Request) -> Conversation:
        return self.conversations.of(str(request.session_hash))


def card_html(question: str, answer: str | None = None) -> str:
    """Returns a card as escaped text."""
    shown = f"<p>{escape(answer)}</p>" if answer is not None else ""
    return f"<h2>{escape(question)}</h2>{shown}"


def quiz_tab(conversations: Conversations) -> None:
    """Adds the tab's components to the page that is being built, and connects their events."""
    gr.HTML(INTRODUCTION)
    start = gr.Button("Start the quiz", variant="primary", elem_id="quiz-start")
    card = gr.HTML(elem_id="quiz-card")
    thought = gr.Textbox(
        label="Your answer (optional)",
        info="it stays in this page",
        lines=2,
        visible=False,
        elem_id="quiz-thought",
    )
    reveal = gr.Button("Show the answer", variant="primary", visible=False, elem_id="quiz-reveal")
    with gr.Row(visible=False, elem_id="quiz-ratings") as ratings:
        buttons = {name: gr.Button(BUTTONS[name], min_width=120) for name in get_args(Rating)}
    note = gr.HTML(elem_classes="note")
    parts = QuizParts(card, thought, reveal, ratings, note)
    quiz = Quiz(conversations, parts)
    start.click(quiz.start, None, [*parts], **FREE)
    reveal.click(quiz.reveal, None, [*parts], **FREE)
    for name, button in buttons.items():
        button.click(quiz.rating(name), None, [*parts], **FREE)
