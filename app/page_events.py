"""What happens on the page: each method handles an event and says what changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.conversations import BUSY, SYSTEM_PROMPT, Conversation, Conversations, Rating, Turn
from app.errors import ApiError
from app.feedback import FOLDER, Feedback
from app.page_text import MESSAGES, PANES, messages, note_of, panes, sentence, thumbs
from app.protocol import ChatRequest
from app.remarks import own_words
from medtune.runtime.errors import InputError

LONGEST = 4000  # characters of a question; two texts of this length fit into a request

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
        try:
            settings = _settings(question, temperature, top_p, longest, system_prompt)
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
        yield messages(turns), back, *_idle(note_of([turn]))

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
        yield *panes([Turn(question, model, {}) for model in PANES]), gr.skip(), *_running()
        try:
            settings = _settings(question, temperature, top_p, longest, system_prompt)
            async with aclosing(conversation.compare(question, settings)) as growing:
                async for turns in growing:
                    yield *panes(turns), *[gr.skip()] * 4
        except (ApiError, InputError) as error:
            yield *panes(conversation.compared), gr.skip(), *_idle(sentence(str(error)))
            return
        yield *panes(turns), gr.skip(), *_idle(note_of(turns))

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

    async def save(self, comment: str | None, request: gr.Request) -> Updates:
        """New states of: rating panel, its note, chat, panes."""
        conversation = self._of(request)
        rating, conversation.rating = conversation.rating, None
        if rating is None:
            return gr.update(visible=False), "", *[gr.skip()] * (1 + len(PANES))
        turn = rating.turn
        feedback = Feedback(
            question=turn.question,
            answer=own_words(turn.answer),
            liked=rating.liked,
            comment=(comment or "").strip()[:LONGEST],
            model=turn.model,
            settings=turn.settings,
            turn=turn.number,
        )
        try:
            await asyncio.to_thread(feedback.save, self.folder)
        except OSError as error:
            conversation.rating = rating
            problem = f"The rating could not be saved ({error.strerror})."
            return gr.skip(), problem, *[gr.skip()] * (1 + len(PANES))
        turn.liked = rating.liked
        by_model = {turn.model: turn for turn in conversation.compared}
        ratings = [conversation.turns, *([by_model[m]] if m in by_model else [] for m in PANES)]
        return gr.update(visible=False), "", *map(thumbs, ratings)

    def _of(self, request: gr.Request) -> Conversation:
        return self.conversations.of(str(request.session_hash))


def _settings(
    question: str, temperature: float, top_p: float, longest: float, system_prompt: str
) -> dict[str, Any]:
    """What a turn is asked with; raises InputError where the API would refuse it.

    A browser sends nothing of the kind, but not everybody who sends is one.
    """
    texts = (("system", system_prompt), ("user", question))
    said = [{"role": role, "content": text} for role, text in texts]
    body = {"model": "", "messages": said, "temperature": temperature, "top_p": top_p}
    try:
        ChatRequest.model_validate(body)
    except ValueError:
        raise InputError("the question or a setting cannot be read: reload the page") from None
    return {
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": int(longest),
        SYSTEM_PROMPT: system_prompt,
    }


def _refusal(conversation: Conversation, question: str | None) -> str | None:
    if conversation.is_busy:
        return BUSY
    return None if question and question.strip() else "Type a question first."


def _running() -> Updates:
    """Send, Stop, note."""
    return gr.update(visible=False), gr.update(visible=True), ""


def _idle(note: str) -> Updates:
    """Send, Stop, note."""
    return gr.update(visible=True), gr.update(visible=False), escape(note)


def _rated(conversation: Conversation, given: gr.LikeData) -> Turn | None:
    """The turn whose answer was given a thumb, if it has ended and the model has said anything."""
    model = str(getattr(given.target, "elem_id", "")).removeprefix("answer-")
    if model in PANES:
        turn = next((turn for turn in conversation.compared if turn.model == model), None)
    else:
        index = given.index if isinstance(given.index, int) else -1
        turn = dict(enumerate(conversation.turns)).get(index // MESSAGES)
    said = turn is not None and turn.nearest_cards is not None and own_words(turn.answer)
    return turn if said else None
