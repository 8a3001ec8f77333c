"""What happens on the page: each method handles an event and says what changes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.conversations import SYSTEM_PROMPT, Conversation, Conversations, Rating, Turn
from app.errors import ApiError
from app.feedback import FOLDER, Feedback
from app.sources import Source
from medtune.errors import InputError

NAMES = {"finetuned": "Fine-tuned", "base": "Base"}
PANES = ("base", "finetuned")  # of a comparison, from left to right
MESSAGES = 3  # of a turn that has ended: question, answer, sources
LONGEST = 4000  # characters of a question; two texts of this length fit into a request
BUSY = "An answer is being written: wait for it, or stop it first."

Update = Any  # a component's new value, or what gr.update and gr.skip make
Updates = tuple[Update, ...]


class Events:
    """The handlers; `folder` is where ratings are kept."""

    def __init__(self, conversations: Conversations, folder: Path = FOLDER) -> None:
        self.conversations, self.folder = conversations, folder

    async def chat(
        self,
        question: str,
        model: str,
        temperature: float,
        top_p: float,
        longest: float,
        system_prompt: str,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """New states of: chat, question, Send, Stop, note."""
        conversation = self._of(request)
        if refused := _refusal(conversation, question):
            yield gr.skip(), gr.skip(), *_idle(refused)
            return
        turns = conversation.turns
        waiting = Turn(question, model, {})
        yield messages([*turns, waiting]), "", *_running()
        settings = _settings(temperature, top_p, longest, system_prompt)
        try:
            async with aclosing(conversation.chat(model, question, settings)) as growing:
                async for turn in growing:
                    if conversation.turns is not turns:  # cleared
                        yield gr.skip(), gr.skip(), *_idle("")
                        return
                    shown = turns if turn in turns else [*turns, turn]
                    yield messages(shown), *[gr.skip()] * 4
        except (ApiError, InputError) as error:
            yield messages(turns), question, *_idle(sentence(str(error)))
            return
        back = gr.skip() if turn in turns else question
        yield messages(turns), back, *_idle(_note([turn]))

    async def compare(
        self,
        question: str,
        temperature: float,
        top_p: float,
        longest: float,
        system_prompt: str,
        request: gr.Request,
    ) -> AsyncIterator[Updates]:
        """New states of: the panes, question, Send, Stop, note."""
        conversation = self._of(request)
        if refused := _refusal(conversation, question):
            yield *[gr.skip()] * len(PANES), gr.skip(), *_idle(refused)
            return
        yield *_panes([Turn(question, model, {}) for model in PANES]), gr.skip(), *_running()
        settings = _settings(temperature, top_p, longest, system_prompt)
        try:
            async with aclosing(conversation.compare(question, settings)) as growing:
                async for turns in growing:
                    yield *_panes(turns), *[gr.skip()] * 4
        except (ApiError, InputError) as error:
            yield *_panes(conversation.compared), gr.skip(), *_idle(sentence(str(error)))
            return
        yield *_panes(turns), gr.skip(), *_idle(_note(turns))

    async def stop(self, request: gr.Request) -> None:
        self._of(request).stop()

    async def leave(self, request: gr.Request) -> None:
        self.conversations.leave(str(request.session_hash))

    async def clear(self, request: gr.Request) -> Updates:
        """New states of: chat, rating panel, note."""
        self._of(request).clear()
        return gr.update(value=[], feedback_value=None), gr.update(visible=False), ""

    def take_example(self, chosen: gr.SelectData) -> str:
        return str(chosen.value["text"])[:LONGEST]

    async def rate(self, given: gr.LikeData, request: gr.Request) -> Updates:
        """New states of: rating panel, comment, note of the panel."""
        conversation = self._of(request)
        turn = _rated(conversation, given)
        if turn is None or turn.liked is not None or not isinstance(given.liked, bool):
            conversation.rating = None
            return gr.update(visible=False), "", ""
        conversation.rating = Rating(turn, given.liked)
        asked = "What is good about it?" if given.liked else "What is wrong with it?"
        return gr.update(visible=True), gr.update(label=f"{asked} (optional)", value=""), ""

    async def save(self, comment: str, request: gr.Request) -> Updates:
        """New states of: rating panel, its note, chat, panes."""
        conversation = self._of(request)
        rating = conversation.rating
        if rating is None:
            return gr.update(visible=False), "", *[gr.skip()] * (1 + len(PANES))
        turn = rating.turn
        feedback = Feedback(
            question=turn.question,
            answer=turn.answer,
            liked=rating.liked,
            comment=comment.strip()[:LONGEST],
            model=turn.model,
            settings=turn.settings,
            turn=turn.number,
        )
        try:
            await asyncio.to_thread(feedback.save, self.folder)
        except OSError as error:
            problem = f"The rating could not be saved ({error.strerror})."
            return gr.skip(), problem, *[gr.skip()] * (1 + len(PANES))
        turn.liked, conversation.rating = rating.liked, None
        by_model = {turn.model: turn for turn in conversation.compared}
        ratings = [conversation.turns, *([by_model[m]] if m in by_model else [] for m in PANES)]
        return gr.update(visible=False), "", *map(_thumbs, ratings)

    def _of(self, request: gr.Request) -> Conversation:
        return self.conversations.of(str(request.session_hash))


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Turns as gr.Chatbot shows them, MESSAGES for each that has ended."""
    shown = []
    for turn in turns:
        shown += [_message("user", turn.question), _message("assistant", turn.answer or "…")]
        if turn.sources is not None:
            text = "\n\n".join(map(_card, turn.sources))
            title = f"{NAMES.get(turn.model, turn.model)} · {_close(turn.sources)}"
            shown.append(
                _message("assistant", text or "No training card shares enough of its words.")
                | {"metadata": {"title": title, "status": "done"}}
            )
    return shown


def sentence(text: str) -> str:
    """A server's message as a sentence.

    >>> sentence("too many wait: try again")
    'Too many wait: try again.'
    """
    return text[:1].upper() + text[1:] + "." * (not text.endswith("."))


def _message(role: str, text: str) -> dict[str, Any]:
    """A message of plain text: gr.Chatbot takes it for HTML even without Markdown."""
    return {"role": role, "content": {"type": "text", "text": escape(text)}}


def _card(source: Source) -> str:
    return f"{source.question}\n{source.answer}\nscore {source.score:.2f}"


def _close(sources: Sequence[Source]) -> str:
    if not sources:
        return "no close card"
    return f"{len(sources)} close training card" + "s" * (len(sources) > 1)


def _panes(turns: Sequence[Turn]) -> list[list[dict[str, Any]]]:
    by_model = {turn.model: turn for turn in turns}
    return [messages([by_model[model]])[1:] if model in by_model else [] for model in PANES]


def _settings(
    temperature: float, top_p: float, longest: float, system_prompt: str
) -> dict[str, Any]:
    return {
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": int(longest),
        SYSTEM_PROMPT: system_prompt,
    }


def _refusal(conversation: Conversation, question: str) -> str | None:
    if conversation.is_busy:
        return BUSY
    return None if question.strip() else "Type a question first."


def _running() -> Updates:
    """Send, Stop, note."""
    return gr.update(visible=False), gr.update(visible=True), ""


def _idle(note: str) -> Updates:
    """Send, Stop, note."""
    return gr.update(visible=True), gr.update(visible=False), escape(note)


def _note(turns: Sequence[Turn]) -> str:
    """What a reader should know of turns that have ended."""
    notes = []
    if any(turn.finish_reason is None for turn in turns):
        notes.append("Stopped.")
    if any(turn.finish_reason == "length" for turn in turns):
        notes.append("Cut at the maximum length, which the settings can raise.")
    if unread := max(turn.unread for turn in turns):
        are = "question is" if unread == 1 else f"{unread} questions are"
        notes.append(f"This talk is long: the first {are} no longer read by the model.")
    return " ".join(notes)


def _rated(conversation: Conversation, given: gr.LikeData) -> Turn | None:
    """The turn whose answer was given a thumb."""
    model = str(getattr(given.target, "elem_id", "")).removeprefix("answer-")
    if model in PANES:
        return next((turn for turn in conversation.compared if turn.model == model), None)
    index = given.index if isinstance(given.index, int) else -1
    number = index // MESSAGES
    return conversation.turns[number] if 0 <= number < len(conversation.turns) else None


def _thumbs(turns: Sequence[Turn]) -> Update:
    words = {True: "Like", False: "Dislike", None: None}
    return gr.update(feedback_value=[words[turn.liked] for turn in turns])
