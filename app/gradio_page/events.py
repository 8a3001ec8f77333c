"""Handles the events of the chat and the comparison; each handler returns what changes."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from app.api.chat_bodies import ChatRequest
from app.api.error_responses import ApiError
from app.gradio_page.alerts import newest_alert
from app.gradio_page.conversations import BUSY, Conversation, Conversations, Turn
from app.gradio_page.event_options import HIDE, SHOW, Updates
from app.gradio_page.fitting_turns import SYSTEM_PROMPT
from app.gradio_page.formatting import PANES, messages, note_of, sentence
from app.gradio_page.saved_conversations import UnreadableConversationError, read_saved, record_of
from app.limits import MAX_TYPED_CHARACTERS
from medtune.runtime.errors import InputError

NOTHING_SAID = "There is no question yet."
NOTHING_CHOSEN = "Choose a conversation first."

Given = Mapping[Any, Any]  # the value of each component that an event takes


class Asking(NamedTuple):
    """The components for a question: its box, two buttons of which one shows, a note, an alert."""

    question: Any
    send: Any
    stop: Any
    note: Any
    alert: Any

    def running(self) -> Updates:
        return {self.send: HIDE, self.stop: SHOW, self.note: ""}

    def idle(self, note: str) -> Updates:
        return {self.send: SHOW, self.stop: HIDE, self.note: escape(note)}


@dataclass
class Alerts:
    """The alert above a question box; one that is drawn again would be announced again."""

    component: Any
    shown: str

    def changed(self, alert: str) -> Updates:
        if alert == self.shown:
            return {}
        self.shown = alert
        return {self.component: alert}


class Components(NamedTuple):
    """The components of the page that events read or change."""

    model: Any
    chat: Any
    chat_asking: Asking
    panes: dict[str, Any]  # of a comparison, by model
    compare_asking: Asking
    tools: Any  # the buttons for the last answer
    record: Any  # the conversation as JSON, which the browser keeps
    settings: dict[str, Any]  # by the name that the engine knows them by
    rating_panel: Any  # asks about a rating; hidden when the rated answer is gone


class Events:
    """The handlers of the chat and of the comparison."""

    def __init__(self, conversations: Conversations, page: Components) -> None:
        self.conversations, self.page = conversations, page

    async def chat(self, given: Given, request: gr.Request) -> AsyncGenerator[Updates]:
        conversation, page, asking = self._of(request), self.page, self.page.chat_asking
        question, model = given[asking.question], given[page.model]
        if refused := _refusal(conversation, question):
            yield asking.idle(refused)
            return
        turns = conversation.turns
        alerts = Alerts(asking.alert, newest_alert(turns, conversation.notice))
        waiting = messages([*turns, Turn(question, model, {})])
        yield {page.chat: waiting, asking.question: "", **asking.running()}
        try:
            settings = self._settings(question, given)
            async with aclosing(conversation.chat(model, question, settings)) as growing:
                async for turn in growing:
                    if conversation.turns is not turns:  # cleared
                        yield asking.idle("")
                        return
                    shown = turns if turn in turns else [*turns, turn]
                    newest = newest_alert(shown, conversation.notice)
                    yield {page.chat: messages(shown), **alerts.changed(newest)}
        except (ApiError, InputError) as error:
            back = {page.chat: messages(turns), asking.question: question}
            yield back | asking.idle(sentence(str(error)))
            return
        back = {} if turn in turns else {asking.question: question}
        yield {**self._shown(conversation), **back, **asking.idle(note_of([turn]))}

    async def again(self, given: Given, request: gr.Request) -> AsyncIterator[Updates]:
        """Asks the last question once more; the old answer stays if there is no new one."""
        conversation, asking = self._of(request), self.page.chat_asking
        turns, last = conversation.turns, conversation.take_back()
        if last is None:
            yield {asking.note: BUSY if conversation.is_busy else NOTHING_SAID}
            return
        kept = len(turns)
        async with aclosing(self.chat({**given, asking.question: last.question}, request)) as new:
            async for updates in new:
                yield updates
        if conversation.turns is turns and len(turns) == kept:
            turns.append(last)
            yield {**self._shown(conversation), asking.question: ""}

    async def edit(self, request: gr.Request) -> Updates:
        """Takes the last question back into its box; its answer goes."""
        conversation, asking = self._of(request), self.page.chat_asking
        last = conversation.take_back()
        if last is None:
            return {asking.note: BUSY if conversation.is_busy else NOTHING_SAID}
        note = {asking.question: last.question, asking.note: "Change your question and send it."}
        return {**self._shown(conversation), **note, self.page.rating_panel: HIDE}

    async def restore(self, saved: str | None, request: gr.Request) -> Updates:
        """Goes on with a conversation that the browser has kept."""
        conversation, asking = self._of(request), self.page.chat_asking
        try:
            name, said = read_saved(saved, self.conversations.assistant.engine.models)
        except UnreadableConversationError:
            problem = "This conversation cannot be opened here." if saved else NOTHING_CHOSEN
            return {asking.note: problem}
        conversation.restore(name, said)
        alert = newest_alert(conversation.turns)
        note = {asking.alert: alert, asking.note: "", self.page.rating_panel: HIDE}
        return {**self._shown(conversation), **note}

    def _shown(self, conversation: Conversation) -> Updates:
        """Returns what the page shows and keeps of a conversation between two answers."""
        return {
            self.page.chat: messages(conversation.turns),
            self.page.tools: gr.update(visible=bool(conversation.turns)),
            self.page.record: record_of(conversation.id, conversation.turns),
        }

    async def compare(self, given: Given, request: gr.Request) -> AsyncIterator[Updates]:
        conversation, asking = self._of(request), self.page.compare_asking
        question = given[asking.question]
        if refused := _refusal(conversation, question):
            yield asking.idle(refused)
            return
        alerts = Alerts(asking.alert, "")
        waiting = self._panes([Turn(question, model, {}) for model in PANES])
        yield waiting | {asking.alert: ""} | asking.running()
        try:
            settings = self._settings(question, given)
            async with aclosing(conversation.compare(question, settings)) as growing:
                async for turns in growing:
                    yield self._panes(turns) | alerts.changed(newest_alert(turns))
        except (ApiError, InputError) as error:
            yield self._panes(conversation.compared) | asking.idle(sentence(str(error)))
            return
        yield self._panes(turns) | asking.idle(note_of(turns))

    async def stop(self, request: gr.Request) -> None:
        self._of(request).stop()

    async def leave(self, request: gr.Request) -> None:
        self.conversations.leave(str(request.session_hash))

    async def clear(self, request: gr.Request) -> Updates:
        conversation = self._of(request)
        conversation.clear()
        return {
            **self._shown(conversation),
            self.page.chat: gr.update(value=[], feedback_value=None),
            self.page.rating_panel: HIDE,
            self.page.chat_asking.note: "",
            self.page.chat_asking.alert: "",
        }

    def take_example(self, chosen: gr.SelectData) -> str:
        return str(chosen.value["text"])[:MAX_TYPED_CHARACTERS]

    def _of(self, request: gr.Request) -> Conversation:
        return self.conversations.of(str(request.session_hash))

    def _panes(self, turns: Sequence[Turn]) -> Updates:
        return {self.page.panes[turn.model]: messages([turn])[1:] for turn in turns}

    def _settings(self, question: str, given: Given) -> dict[str, Any]:
        """Returns the settings of a turn; raises InputError if the API would refuse them.

        The page never sends such settings, but other programs may.
        """
        settings = {name: given[component] for name, component in self.page.settings.items()}
        texts = (("system", settings[SYSTEM_PROMPT]), ("user", question))
        said = [{"role": role, "content": text} for role, text in texts]
        numbers = {name: settings[name] for name in ("temperature", "top_p")}
        try:
            ChatRequest.model_validate({"model": "", "messages": said, **numbers})
        except ValueError:
            raise InputError("the question or a setting is not valid: reload the page") from None
        return settings | {"max_new_tokens": int(settings["max_new_tokens"])}


def _refusal(conversation: Conversation, question: str | None) -> str | None:
    if conversation.is_busy:
        return BUSY
    return None if question and question.strip() else "Type a question first."
