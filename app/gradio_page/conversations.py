"""Keeps the conversations of open pages, and the answers that their readers wait for."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from app.api.error_responses import ApiError
from app.assistant import Assistant, Reply
from app.gradio_page.blind_pairs import ShownPair
from app.gradio_page.fitting_turns import ask_with_fitting_turns
from app.gradio_page.nearest_cards import NearestCard, NearestCards
from app.gradio_page.quiz_round import QuizRound
from medtune.guard.notices import Notice
from medtune.modeling.prompts import ChatMessage

TURNS = 30  # kept of each conversation
READERS = 200  # whose conversations are kept
IDLE_S = 3600.0  # after which a conversation is dropped
PAUSE_S = 0.05  # between two updates of a growing answer
BUSY = "An answer is being written: wait for it, or stop it first."


@dataclass(eq=False)
class Turn:
    """A question and its answer; `unread` earlier questions did not fit into the prompt."""

    question: str
    model: str
    settings: Mapping[str, Any]
    number: int = 1  # its position in the conversation
    answer: str = ""
    notice: Notice | None = None  # about an emergency, shown apart from the answer
    distress: bool = False  # a sign of it in this question or an earlier one
    nearest_cards: list[NearestCard] | None = None  # None until the answer has ended
    finish_reason: str | None = None
    timed_out: bool = False  # cut by the server's time limit
    unread: int = 0
    liked: bool | None = None  # None until it is rated
    is_restored: bool = False  # from a browser's history, so it is no longer known who wrote it


@dataclass
class Conversation:
    """One open page: the turns of its chat, the last comparison, and what is being computed."""

    assistant: Assistant
    nearest_cards: NearestCards
    turns: list[Turn] = field(default_factory=list)
    compared: list[Turn] = field(default_factory=list)
    id: str = field(default_factory=lambda: secrets.token_hex(8))  # changes with `clear`
    notice: Notice | None = None  # the newest of the turns that were dropped
    distress: str | None = None  # the first dropped question that showed it
    rated: tuple[Turn, bool] | None = None  # liked or not, waiting for its comment
    shown: ShownPair | None = None  # in the blind test, until the vote
    voter: str = field(default_factory=lambda: f"anonymous-{secrets.token_hex(4)}")
    votes: int = 0
    quiz: QuizRound | None = None
    is_busy: bool = False
    used: float = field(default_factory=time.monotonic)
    _answers: Sequence[Reply] = ()
    _is_stopped: bool = False

    async def chat(
        self, model: str, question: str, settings: Mapping[str, Any]
    ) -> AsyncGenerator[Turn]:
        """Yields the next turn as it grows, then keeps it. Raises ApiError and InputError."""
        turns = self.turns  # another list after `clear`
        number = turns[-1].number + 1 if turns else 1
        turn = Turn(question, model, settings, number)
        answer = self._ask(turn, turns, self.distress)
        async with aclosing(self._grow([turn], [answer])) as growing:
            async for _ in growing:
                yield turn
        if turn.answer or turn.finish_reason:
            turns.append(turn)
            self._drop(turns)
        yield turn

    async def compare(
        self, question: str, settings: Mapping[str, Any]
    ) -> AsyncGenerator[list[Turn]]:
        """Yields each model's turn as `answer_both` does, and keeps them for ratings."""
        async with aclosing(self.answer_both(question, settings)) as growing:
            async for turns in growing:
                self.compared = turns
                yield turns

    async def answer_both(
        self, question: str, settings: Mapping[str, Any]
    ) -> AsyncGenerator[list[Turn]]:
        """Yields each model's turn as it grows, without earlier turns. Raises as `chat` does."""
        turns = [Turn(question, model, settings) for model in self.assistant.engine.models]
        answers: list[Reply] = []
        try:
            for turn in turns:
                answers.append(self._ask(turn, []))
        except ApiError:
            for answer in answers:
                answer.cancel()
            raise
        async with aclosing(self._grow(turns, answers)) as growing:
            async for _ in growing:
                yield turns

    def stop(self) -> None:
        """Ends the running answers before their next token; their text so far stays."""
        self._is_stopped = True
        for answer in self._answers:
            answer.cancel()

    def clear(self) -> None:
        self.stop()
        self.turns, self.rated, self.notice, self.distress = [], None, None, None
        self.id = secrets.token_hex(8)

    def take_back(self) -> Turn | None:
        """Removes the last turn and returns it; help that it called for stays in view."""
        if not self.turns or self.is_busy:
            return None
        turn = self.turns.pop()
        self._remember(turn)
        self.rated = None
        return turn

    def restore(self, name: str, said: Sequence[tuple[str, str, str]]) -> None:
        """Goes on with a conversation of a browser's history: questions, answers and models.

        The guard judges its questions anew, so that an earlier emergency is shown again.
        """
        self.clear()
        self.id = name
        messages: list[ChatMessage] = []
        for number, (question, answer, model) in enumerate(said[-TURNS:], start=1):
            messages.append({"role": "user", "content": question})
            remarks = self.assistant.remarks(messages)
            messages.append({"role": "assistant", "content": answer})
            turn = Turn(question, model, {}, number, answer, is_restored=True)
            turn.notice, turn.distress = remarks.notice, remarks.distress
            turn.finish_reason = "stop"
            turn.nearest_cards = self.nearest_cards.nearest(question)
            self.turns.append(turn)

    def _drop(self, turns: list[Turn]) -> None:
        if turns is self.turns:  # not cleared
            for turn in turns[:-TURNS]:
                self._remember(turn)
        del turns[:-TURNS]

    def _remember(self, dropped: Turn) -> None:
        """Keeps what a turn showed of an emergency or of distress."""
        self.notice = dropped.notice or self.notice
        if dropped.distress and self.distress is None:
            self.distress = dropped.question

    def _ask(self, turn: Turn, earlier: Sequence[Turn], distress: str | None = None) -> Reply:
        """Asks with as many of the newest earlier turns as fit.

        The guard also gets those that do not fit, and first the dropped question `distress`.
        """
        if self.is_busy:
            raise ApiError(409, BUSY)
        return ask_with_fitting_turns(self.assistant, turn, earlier, distress)

    async def _grow(self, turns: Sequence[Turn], answers: Sequence[Reply]) -> AsyncGenerator[None]:
        """Writes answers into turns as they come; yields after each pause."""

        async def follow(turn: Turn, answer: Reply) -> None:
            async for piece in answer.pieces(with_notice=False):
                turn.answer += piece
            turn.finish_reason, turn.timed_out = answer.finish_reason, answer.timed_out

        self.is_busy, self._is_stopped, self._answers = True, False, answers
        tasks = {asyncio.create_task(follow(*pair)) for pair in zip(turns, answers, strict=True)}
        pending = tasks
        try:
            while pending and not self._is_stopped:
                _, pending = await asyncio.wait(pending, timeout=PAUSE_S)
                yield
            for task in tasks - pending:
                task.result()
            for turn in turns:
                turn.nearest_cards = self.nearest_cards.nearest(turn.question)
            yield
        finally:
            for answer in answers:
                answer.cancel()
            for task in tasks:
                task.cancel()
            self.is_busy, self._answers = False, ()


class Conversations:
    """The conversations of all open pages, by the id of each page."""

    def __init__(self, assistant: Assistant, nearest_cards: NearestCards) -> None:
        self.assistant, self.nearest_cards = assistant, nearest_cards
        self._all: OrderedDict[str, Conversation] = OrderedDict()

    def of(self, page: str) -> Conversation:
        """Returns a page's conversation; makes room by dropping those unused the longest."""
        found = self._all.setdefault(page, Conversation(self.assistant, self.nearest_cards))
        self._all.move_to_end(page)
        found.used = time.monotonic()
        for name, other in list(self._all.items()):
            if len(self._all) <= READERS and other.used >= found.used - IDLE_S:
                break
            if not other.is_busy:
                del self._all[name]
        return found

    def leave(self, page: str) -> None:
        """Stops the answers that a closed page was waiting for."""
        if page in self._all:
            self._all[page].stop()
