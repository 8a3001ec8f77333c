"""Turns conversations into values of Gradio's components."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from app.gradio_page.conversations import Turn
from app.gradio_page.nearest_cards import NearestCard

NAMES = {"finetuned": "Fine-tuned", "base": "Base"}
PANES = ("base", "finetuned")  # of a comparison, from left to right
HELP_FIRST = "Please get help first."  # where a notice is all that the assistant can say
MESSAGES = 3  # of a turn that has ended: question, answer, nearest cards


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Returns turns as gr.Chatbot shows them, MESSAGES for each that has ended."""
    shown = []
    for turn in turns:
        waiting = HELP_FIRST if turn.notice and turn.finish_reason else "…"
        shown += [_message("user", turn.question), _message("assistant", turn.answer or waiting)]
        if turn.nearest_cards is not None:
            text = "\n\n".join(map(_card, turn.nearest_cards))
            title = f"{NAMES.get(turn.model, turn.model)} · {_close(turn.nearest_cards)}"
            shown.append(
                _message("assistant", text or "No training card shares enough words with it.")
                | {"metadata": {"title": title, "status": "done"}}
            )
    return shown


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


def _message(role: str, text: str) -> dict[str, Any]:
    """Returns a message of escaped text: gr.Chatbot reads it as HTML even without Markdown."""
    return {"role": role, "content": {"type": "text", "text": escape(text)}}


def _card(card: NearestCard) -> str:
    return f"{card.question}\n{card.answer}\nscore {card.score:.2f}"


def _close(nearest_cards: Sequence[NearestCard]) -> str:
    if not nearest_cards:
        return "no close card"
    return f"{len(nearest_cards)} close training card" + "s" * (len(nearest_cards) > 1)
