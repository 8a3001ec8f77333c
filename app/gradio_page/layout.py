"""The components of the chat page and how its events change them."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.assistant import Assistant
from app.gradio_page.blind_pairs import Pair
from app.gradio_page.blind_test import blind_tab
from app.gradio_page.conversations import Conversations
from app.gradio_page.event_options import FREE, HIDDEN
from app.gradio_page.events import Asking, Components, Events
from app.gradio_page.fitting_turns import SYSTEM_PROMPT
from app.gradio_page.formatting import NAMES, PANES, verdict_html
from app.gradio_page.quiz import quiz_tab
from app.gradio_page.ratings import rating_panel
from app.gradio_page.saved_conversations import saved_panel
from app.limits import MAX_TYPED_CHARACTERS
from medtune.disclaimer import DISCLAIMER
from medtune.judging.vote_file import adapter_digest

HEADER = """<h1>medtune</h1>
<p>Ask a small language model that was fine-tuned on medical question-answer cards.</p>"""
KEYS = "Enter sends, Shift+Enter starts a new line, Esc stops."


def build_page(
    conversations: Conversations, questions: list[str], pairs: Sequence[Pair] = ()
) -> gr.Blocks:
    assistant = conversations.assistant
    with gr.Blocks(analytics_enabled=False, title="medtune", fill_width=True) as page:
        _header()
        with gr.Tabs():
            with gr.Tab("Chat"):
                with gr.Row(elem_id="chat-top"):
                    model = _model(assistant)
                    clear = gr.Button("New conversation", size="sm", scale=0, elem_id="clear")
                chat = _chatbot("Conversation", "chat", [{"text": text} for text in questions])
                tools, copy, again, edit = _tools()
                chat_asking = _asking("chat")
                record = gr.Textbox(visible="hidden", label="Conversation", elem_id="record")
                opening, saved, earlier = saved_panel(record, chat_asking.note)
            with gr.Tab("Compare"):
                compare_asking = _asking("compare")
                with gr.Row(equal_height=True):
                    panes = {name: _chatbot(NAMES[name], f"answer-{name}", None) for name in PANES}
            with gr.Tab("Blind test", elem_id="blind"):
                blind_tab(conversations, pairs, adapter_digest())
            with gr.Tab("Quiz", elem_id="quiz"):
                quiz_tab(conversations)
        settings = _settings(assistant)
        rating = rating_panel(conversations, chat, panes)
        components = Components(
            model=model,
            chat=chat,
            chat_asking=chat_asking,
            panes=panes,
            compare_asking=compare_asking,
            tools=tools,
            record=record,
            settings=settings,
            rating_panel=rating,
        )
        events = Events(conversations, components)
        _connect_asking(events, again)
        shown = [chat, tools, record, rating, chat_asking.note, chat_asking.alert]
        clear.click(events.clear, None, shown, **FREE)
        opening.click(events.restore, saved, shown, **FREE)
        edit.click(events.edit, None, [*shown, chat_asking.question], **FREE).then(
            None, js="() => medtune.focusQuestion()", **HIDDEN
        )
        copy.click(None, record, chat_asking.note, js="(text) => medtune.copy(text)", **HIDDEN)
        page.load(None, None, earlier, js="() => medtune.start()", **HIDDEN)
        page.unload(events.leave)
    page.queue(default_concurrency_limit=None, api_open=False)
    return page


def _header() -> None:
    with gr.Row(elem_id="header"):
        gr.HTML(HEADER + verdict_html())
        theme = gr.Button("Dark / light", size="sm", elem_id="theme", scale=0)
        theme.click(None, js="() => medtune.switchTheme()", **HIDDEN)
    gr.HTML(f"<p>{DISCLAIMER}</p>", elem_id="disclaimer")


def _connect_asking(events: Events, again: gr.Button) -> None:
    page = events.page
    asking, settings = page.chat_asking, page.settings.values()
    given = {asking.question, page.model, *settings}
    changed = [page.chat, page.tools, page.record, *asking]
    again.click(events.again, given, changed, **FREE)
    gr.on([asking.question.submit, asking.send.click], events.chat, given, changed, **FREE)
    page.chat.example_select(events.take_example, None, asking.question, **FREE).then(
        events.chat, given, changed, **FREE
    )
    asking = page.compare_asking
    given = {asking.question, *settings}
    changed = [*page.panes.values(), *asking]
    gr.on([asking.question.submit, asking.send.click], events.compare, given, changed, **FREE)
    gr.on([page.chat_asking.stop.click, asking.stop.click], events.stop, **FREE)


def _model(assistant: Assistant) -> gr.Radio:
    choices = [(NAMES.get(name, name), name) for name in assistant.engine.models]
    return gr.Radio(choices, value=choices[0][1], label="Answered by", elem_id="model")


def _chatbot(label: str, name: str, questions: list[Any] | None) -> gr.Chatbot:
    """Shows the HTML that formatting.py makes, which has no tags of a reader or a model."""
    return gr.Chatbot(
        label=label,
        show_label=questions is None,
        elem_id=name,
        elem_classes="answers",
        render_markdown=False,
        sanitize_html=True,
        latex_delimiters=[],
        allow_tags=False,
        buttons=[],
        feedback_options=("Like", "Dislike"),
        placeholder="What would you like to know?" if questions else "",
        examples=questions,
        height=None,
    )


def _tools() -> tuple[gr.Row, gr.Button, gr.Button, gr.Button]:
    """Returns the buttons for the last answer: copy, ask again, edit the question."""
    with gr.Row(visible=False, elem_id="tools") as row:
        labels = ("Copy answer", "Ask again", "Edit question")
        copy, again, edit = (gr.Button(label, size="sm", scale=0) for label in labels)
    return row, copy, again, edit


def _asking(name: str) -> Asking:
    alert = gr.HTML(elem_id=f"{name}-alert")
    with gr.Row(elem_classes="asking"):
        question = gr.Textbox(
            label="Your question",
            show_label=False,
            placeholder="Ask a medical question",
            lines=1,
            max_lines=6,
            max_length=MAX_TYPED_CHARACTERS,
            autofocus=name == "chat",
            scale=1,
            elem_id=f"{name}-question",
        )
        send = gr.Button("Send", variant="primary", scale=0, min_width=90)
        stop = gr.Button("Stop", variant="stop", scale=0, min_width=90, visible=False)
        stop.elem_classes = ["stop"]
    return Asking(question, send, stop, gr.HTML(KEYS, elem_classes="note"), alert)


def _settings(assistant: Assistant) -> dict[str, gr.Slider | gr.Textbox]:
    params, most = assistant.params, assistant.engine.limits.max_new_tokens
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        with gr.Row():
            temperature = gr.Slider(
                0,
                2,
                params.temperature,
                step=0.05,
                label="Temperature",
                info="0 picks the likeliest words; higher values vary more",
            )
            top_p = gr.Slider(
                0.05,
                1,
                params.top_p,
                step=0.05,
                label="Top-p",
                info="above temperature 0, sample from the likeliest words that make up this share",
            )
            longest = gr.Slider(
                1,
                most,
                params.max_new_tokens,
                step=1,
                label="Maximum length",
                info="tokens in an answer; a token is about ¾ of a word",
            )
        system_prompt = gr.Textbox(
            assistant.system_prompt or "",
            label="System prompt",
            info="The fine-tuned model was trained with this prompt; an empty box restores it",
            lines=2,
            max_length=MAX_TYPED_CHARACTERS // 2,
        )
    return {
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": longest,
        SYSTEM_PROMPT: system_prompt,
    }
