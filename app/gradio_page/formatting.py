"""Turns conversations into values of Gradio's components."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.gradio_page.conversations import Turn
from app.gradio_page.markdown import html_of
from app.gradio_page.nearest_cards import NearestCard
from medtune.runtime.atomic_files import read_json

NAMES = {"finetuned": "Fine-tuned", "base": "Base"}
PANES = ("base", "finetuned")  # of a comparison, from left to right
HELP_FIRST = "Please get help first."  # where a notice is all that the assistant can say
SYSTEMS = Path("metrics/compare_systems.json")
MESSAGES = 2  # of a turn: question and answer


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Returns turns as gr.Chatbot shows them, MESSAGES for each."""
    return [message for turn in turns for message in (_question(turn), _answer(turn))]


def sentence(text: str) -> str:
    """Returns a server's message with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + "." * (not text.endswith("."))


def note_of(turns: Sequence[Turn]) -> str:
    """Returns what a reader should know about turns that have ended."""
    notes = []
    if any(turn.finish_reason is None for turn in turns):
        notes.append("Stopped.")
    if any(turn.timed_out for turn in turns):
        notes.append("Cut at the server's time limit; ask again, or ask for a shorter answer.")
    if any(turn.finish_reason == "length" and not turn.timed_out for turn in turns):
        notes.append("Cut at the maximum length; you can raise it in the settings.")
    if unread := max(turn.unread for turn in turns):
        first = "first question" if unread == 1 else f"first {unread} questions"
        notes.append(f"This conversation is long; the model no longer sees your {first}.")
    return " ".join(notes)


def thumbs(turns: Sequence[Turn]) -> Any:
    """Returns the ratings of turns, as an update of gr.Chatbot."""
    words = {True: "Like", False: "Dislike", None: None}
    return gr.update(feedback_value=[words[turn.liked] for turn in turns])


def _question(turn: Turn) -> dict[str, Any]:
    return _message("user", escape(turn.question))


def _answer(turn: Turn) -> dict[str, Any]:
    waiting = HELP_FIRST if turn.notice and turn.finish_reason else "…"
    cards = "" if turn.nearest_cards is None else _sources(turn.model, turn.nearest_cards)
    return _message("assistant", html_of(turn.answer or waiting) + cards)


def _message(role: str, html: str) -> dict[str, Any]:
    """Returns a message; gr.Chatbot reads its text as HTML even without Markdown."""
    return {"role": role, "content": {"type": "text", "text": html}}


def _sources(model: str, cards: Sequence[NearestCard]) -> str:
    """Returns the model's name and, if there are any, the training cards near the question."""
    name = escape(NAMES.get(model, model))
    if not cards:
        return f'<p class="source">{name}</p>'
    count = f"{len(cards)} similar training card" + "s" * (len(cards) > 1)
    shown = "".join(map(_card, cards))
    return f'<details class="source"><summary>{name} · {count}</summary>{shown}</details>'


def _card(card: NearestCard) -> str:
    overlap = f"{card.score:.0%} of the question’s words, rare words counting more"
    return (
        f"<p><strong>{escape(card.question)}</strong><br>{escape(card.answer)}<br>"
        f"<small>{overlap}</small></p>"
    )


def verdict_html(path: Path = SYSTEMS) -> str:
    """Returns a paragraph with the verdict on the fine-tuned model; nothing without metrics."""
    found = read_json(path, "compare") if path.is_file() else {}
    sentence = found.get("verdict.sentence")
    return f"\n<p>{escape(sentence)} Measured on {found['n']} test cards.</p>" if sentence else ""
