"""Mounts the chat page, a Gradio app, in the server, after the API's routes."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from app.assistant import Assistant
from app.gradio_page.blind_pairs import recorded_pairs
from app.gradio_page.conversations import READERS, Conversations
from app.gradio_page.example_questions import example_questions
from app.gradio_page.layout import build_page
from app.gradio_page.nearest_cards import NearestCards
from app.gradio_page.request_filter import PageFilter, events_of
from app.guard_remarks import Remarks

HERE = Path(__file__).parent
SCRIPTS = ("theme_and_keys.js", "saved_conversations.js")  # the second builds on the first
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "monospace")


def mount_page(app: FastAPI, assistant: Assistant, key: str | None = None) -> FastAPI:
    """Adds the page at "/", after all other routes of `app`.

    If there is a `key`, readers must enter it in sign_in.html. `app.state.close_page()` ends the
    connections of open pages, which would otherwise keep the server from stopping.
    """
    conversations = Conversations(assistant, NearestCards.load())
    page = build_page(conversations, example_questions(_suits(assistant)), recorded_pairs())
    page.state_session_capacity = READERS
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        footer_links=[],
        run_history=False,
        auth=_has_key(key) if key else None,
        max_file_size=0,
        show_error=False,
        theme=_theme(),
        css_paths=HERE / "page.css",
        head="".join(f"<script>{(HERE / name).read_text('utf-8')}</script>" for name in SCRIPTS),
    )
    mounted: Any = app.routes[-1]
    app.state.close_page = mounted.app.stop_event.set
    mounted.app = PageFilter(mounted.app, events_of(page), _signed_in(mounted.app) if key else None)
    return app


def _signed_in(gradio: Any) -> Callable[[HTTPConnection], bool]:
    """Returns whether a request has a cookie of Gradio's login."""
    names = [f"access-token{kind}-{gradio.cookie_id}" for kind in ("", "-unsecure")]
    return lambda request: any(request.cookies.get(name) in gradio.tokens for name in names)


def _suits(assistant: Assistant) -> Callable[[str], bool]:
    """Returns whether a question can be an example: the guard has nothing to say about it."""
    return lambda text: assistant.remarks([{"role": "user", "content": text}]) == Remarks()


def _has_key(key: str) -> Callable[[str, str], bool]:
    return lambda _, password: secrets.compare_digest(password.encode(), key.encode())


def _theme() -> gr.themes.Base:
    """Returns a theme with the fonts of the reader's system, and colours dark enough to read."""
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=MONO)
    return theme.set(
        color_accent="*primary_700",
        body_text_color_subdued="*neutral_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )
