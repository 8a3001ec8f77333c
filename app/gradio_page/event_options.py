"""What the events of the page share: how they are declared, and how they show components."""

from typing import Any

import gradio as gr

Updates = dict[Any, Any]  # new values, or what gr.update makes, of the components that change
HIDE, SHOW = gr.update(visible=False), gr.update(visible=True)
HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
FREE: dict[str, Any] = {"concurrency_limit": None, **HIDDEN}
