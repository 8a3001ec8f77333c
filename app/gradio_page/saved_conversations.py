"""Conversations that the reader's browser keeps: what it gets, and what it gives back.

saved_conversations.js stores them, because the server forgets conversations and has no accounts.
"""

import json
from collections.abc import Container, Sequence
from typing import Annotated

import gradio as gr
from pydantic import BaseModel, Field, ValidationError

from app.gradio_page.conversations import TURNS, Turn
from app.gradio_page.event_options import HIDDEN

LONGEST = 20_000  # characters of a question or an answer
KEPT = (
    "<p>Your conversations stay in this browser. Whoever uses it can read them until you delete "
    "them.</p>"
)


class UnreadableConversationError(ValueError):
    """The browser has sent something else than a conversation."""


class SavedTurn(BaseModel):
    question: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    answer: Annotated[str, Field(max_length=LONGEST)]
    model: str


class Saved(BaseModel):
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    turns: Annotated[list[SavedTurn], Field(min_length=1, max_length=TURNS)]


def record_of(name: str, turns: Sequence[Turn]) -> str:
    """Returns a conversation as the JSON that a browser keeps; nothing if it is empty."""
    if not turns:
        return ""
    said = [
        {
            "question": turn.question,
            "answer": turn.answer,
            "model": turn.model,
            "settings": dict(turn.settings),
        }
        for turn in turns
    ]
    return json.dumps({"id": name, "turns": said}, ensure_ascii=False)


def read_saved(text: str | None, models: Container[str]) -> tuple[str, list[tuple[str, str, str]]]:
    """Returns a kept conversation's name and turns. Raises UnreadableConversationError."""
    try:
        saved = Saved.model_validate_json(text or "")
    except ValidationError:
        raise UnreadableConversationError from None
    if not all(turn.model in models for turn in saved.turns):
        raise UnreadableConversationError
    return saved.id, [(turn.question, turn.answer, turn.model) for turn in saved.turns]


def saved_panel(record: gr.Textbox, note: gr.HTML) -> tuple[gr.Button, gr.Textbox, gr.Dropdown]:
    """Adds the list of kept conversations.

    Returns the button that opens one, the hidden box that then holds it, and the list.
    """
    with gr.Accordion("Conversations", open=False, elem_id="history"):
        gr.HTML(KEPT)
        chosen = gr.Dropdown([], value=None, label="Earlier conversations", elem_id="history-list")
        with gr.Row():
            opening = gr.Button("Open", size="sm")
            delete = gr.Button("Delete", size="sm")
            delete_all = gr.Button("Delete all", size="sm", variant="stop")
        gr.HTML("<p>The conversation above as a file:</p>")
        with gr.Row():
            markdown = gr.Button("Save as Markdown", size="sm")
            as_json = gr.Button("Save as JSON", size="sm")
    saved = gr.Textbox(visible="hidden", label="Saved conversation", elem_id="saved")
    chosen.change(None, chosen, saved, js="(id) => medtune.saved(id)", **HIDDEN)
    record.change(None, record, chosen, js="(text) => medtune.keep(text)", **HIDDEN)
    delete.click(None, chosen, chosen, js="(id) => medtune.forget(id)", **HIDDEN)
    delete_all.click(None, None, chosen, js="() => medtune.forgetAll()", **HIDDEN)
    markdown.click(None, record, note, js="(text) => medtune.download(text, 'md')", **HIDDEN)
    as_json.click(None, record, note, js="(text) => medtune.download(text, 'json')", **HIDDEN)
    return opening, saved, chosen
