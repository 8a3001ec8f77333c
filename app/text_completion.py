"""Continues prompts that are no conversations, and reads how probable their tokens are."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.api.chat_bodies import FinishReason
from app.api.error_responses import ApiError, busy, too_long
from app.assistant import Assistant, Reply
from app.continuous_batching.log_probabilities import TokenScores
from app.guard_remarks import Remarks
from app.request_queue import End, QueueFullError
from app.stop_strings import StopStrings
from medtune.config.schema import Evaluate
from medtune.guard.notices import Notice


@dataclass
class Continuation:
    """What follows a prompt; `scores` cover the prompt and the continuation."""

    prompt: list[int]
    ids: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: FinishReason = "length"
    timed_out: bool = False
    scores: TokenScores | None = None
    notice: Notice | None = None


class Completer:
    """Completes prompts for one request.

    `stop` are texts before which a continuation ends; `logprobs` says how many of the likeliest
    tokens to name, None that no log-probability is wanted.
    """

    def __init__(
        self,
        assistant: Assistant,
        model: str,
        settings: dict[str, Any],
        seed: int | None,
        stop: Sequence[str],
        logprobs: int | None,
    ) -> None:
        self.assistant, self.model, self.seed = assistant, model, seed
        self.stops, self.logprobs = StopStrings(stop), logprobs
        self.params: Evaluate = assistant.settings(model, settings, "max_tokens")
        self.length = self.params.max_new_tokens  # 0 only reads the prompt

    def ids_of(self, prompt: str | Sequence[int]) -> list[int]:
        """Returns a prompt's token ids; raises ApiError if they are not possible."""
        tokenizer = self.assistant.encoder.tokenizer
        if isinstance(prompt, str):
            ids: list[int] = tokenizer.encode(prompt, split_special_tokens=False, verbose=False)
        else:
            ids = list(prompt)
        if ids and max(ids) >= len(tokenizer):
            raise ApiError(400, f"the model has no token {max(ids)}", "prompt")
        if len(ids) > (room := self.assistant.room(self.params)):
            raise too_long(len(ids), room, self.length, "prompt")
        return ids

    async def complete(self, prompt: list[int]) -> Continuation:
        """Returns a prompt's continuation. Raises ApiError."""
        found = Continuation(prompt)
        plain = not self.params.temperature and self.params.repetition_penalty == 1
        if self.length == 0 or (self.length == 1 and plain and self.logprobs is not None):
            return await self._read(found)
        remarks = self.assistant.remarks([{"role": "user", "content": self.decode(prompt, True)}])
        found.notice = remarks.notice
        if remarks.instead is not None:
            found.text, found.finish_reason = remarks.instead, "stop"
            return found
        await self._continue(found)
        if self.logprobs is not None:
            found.scores = await self._scores(found.prompt + found.ids)
        return found

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        text = self.assistant.encoder.tokenizer.decode(
            list(ids), skip_special_tokens=skip_special_tokens
        )
        return str(text)

    async def _read(self, found: Continuation) -> Continuation:
        """Reads the scores of a prompt, of which the last belong to the likeliest next token."""
        if self.logprobs is None:
            return found
        found.scores = await self._scores(found.prompt)
        if self.length:
            token, score = found.scores.likeliest[-1][0]
            found.ids = [token]
            found.scores.own.append(score)
            found.text, stopped = self.stops.cut(self._text(found.ids), True)
            if stopped or token in self.assistant.engine.ends:
                found.finish_reason = "stop"
        return found

    async def _continue(self, found: Continuation) -> None:
        reply = Reply(self.assistant, len(found.prompt), Remarks(), self.stops, self._text)
        self.assistant.submit(reply, self.model, found.prompt, self.params, self.seed)
        try:
            found.text = "".join([piece async for piece in reply.pieces()])
        finally:
            reply.cancel()
        assert reply.finish_reason is not None
        found.ids, found.timed_out = reply.ids, reply.timed_out
        found.finish_reason = reply.finish_reason

    def _text(self, ids: Sequence[int]) -> str:
        ended = bool(ids) and ids[-1] in self.assistant.engine.ends
        return self.decode(ids[:-1] if ended else ids)

    async def _scores(self, text: list[int]) -> TokenScores:
        loop, engine = asyncio.get_running_loop(), self.assistant.engine
        scored: asyncio.Future[TokenScores | End] = loop.create_future()

        def settle(event: TokenScores | End) -> None:
            if not scored.done():
                scored.set_result(event)

        def put(event: TokenScores | End) -> None:
            loop.call_soon_threadsafe(settle, event)

        try:
            job = engine.submit_scoring(self.model, text, max(self.logprobs or 0, 1), put)
        except QueueFullError:
            raise busy(engine.limits.retry_after_s) from None
        try:
            event = await scored
        finally:
            engine.cancel(job)
        if isinstance(event, TokenScores):
            return event
        if event.reason == "late":
            raise busy(engine.limits.retry_after_s)
        raise ApiError(500, "reading the text failed: see the server's log", code="internal_error")
