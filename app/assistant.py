"""Answers conversations, for the API and the pages of the server, and refuses what is too long."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.api.chat_bodies import FinishReason
from app.api.error_responses import ApiError, busy, too_long
from app.guard_remarks import GAP, Remarks, own_words
from app.request_queue import End, Engine, Job, QueueFullError
from app.stop_strings import StopStrings
from medtune.config.schema import Evaluate
from medtune.modeling.prompts import ChatMessage, PromptEncoder, in_turns

COLD = 1e-3  # lower temperatures count as greedy, because they would make logits infinite
UNFINISHED = "\ufffd"  # replaces a character whose last bytes are still missing


class Assistant:
    """Answers with an engine; `params` holds the settings that a request leaves out.

    `context` is the number of tokens, prompt and answer, that the model can see; `remarks` chooses
    the fixed texts for a conversation. All callers must share one event loop, because special-token
    parsing is a state of the tokenizer, not an argument of each call.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        engine: Engine,
        params: Evaluate,
        context: int,
        remarks: Callable[[Sequence[ChatMessage]], Remarks] = lambda _: Remarks(),
    ) -> None:
        most = min(params.max_new_tokens, engine.limits.max_new_tokens)
        self.params = params.model_copy(update={"max_new_tokens": most})
        self.engine, self.context, self.remarks = engine, context, remarks
        self.system_prompt, self.encoder = encoder.format.system_prompt, encoder

    def ask(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        seed: int | None = None,
        unread: Sequence[ChatMessage] = (),
        stop: Sequence[str] = (),
        **settings: Any,
    ) -> "Reply":
        """Starts the answer to a conversation.

        `unread` are earlier messages that the model does not get but the guard does. The answer
        ends before the first of the texts `stop`. `settings` are fields of `evaluate` in
        params.yaml; None leaves the choice to the server. Without a seed, each answer is sampled
        anew. Raises ApiError.
        """
        params = self.settings(model, settings, "max_completion_tokens")
        self._check(messages)
        prompt, remarks = self._prompt_ids(messages), self.remarks([*unread, *messages])
        room = self.room(params)
        if len(prompt) > room:
            if remarks.before is None or len(self._prompt_ids(messages[-1:])) <= room:
                raise too_long(len(prompt), room, params.max_new_tokens, "messages")
            remarks = replace(remarks, after=None, instead="")  # an emergency, too long on its own
        answer = Reply(self, len(prompt), remarks, StopStrings(stop), self.encoder.decode)
        if remarks.instead is None:
            self.submit(answer, model, prompt, params, seed)
        return answer

    def settings(self, model: str, settings: Mapping[str, Any], length: str) -> Evaluate:
        """Returns the settings of a request to a model; `length` is its field with the length."""
        self.known(model)
        given = {name: value for name, value in settings.items() if value is not None}
        if given.get("temperature", 1) < COLD:
            given["temperature"] = 0.0
        params = self.params.model_copy(update=given)
        if (most := self.engine.limits.max_new_tokens) < params.max_new_tokens:
            message = f"an answer has at most {most} tokens, not {params.max_new_tokens}"
            raise ApiError(400, message, length)
        return params

    def room(self, params: Evaluate) -> int:
        """Returns how many tokens a prompt may have."""
        most = self.engine.limits.max_prompt_tokens
        return max(min(most, self.context - params.max_new_tokens), 0)

    def submit(
        self, answer: "Reply", model: str, prompt: list[int], params: Evaluate, seed: int | None
    ) -> None:
        """Queues the computation of an answer; raises ApiError if there is no place."""
        seed = secrets.randbits(64) if seed is None else seed % 2**64
        try:
            answer.job = self.engine.submit(model, prompt, params, seed, answer.put)
        except QueueFullError:
            if answer.remarks.before is None:
                raise busy(self.engine.limits.retry_after_s) from None
            answer.remarks = replace(answer.remarks, after=None, instead="")  # which cannot wait

    def known(self, model: str) -> str:
        """Returns the name of a model if it exists; otherwise raises ApiError."""
        if model not in self.engine.models:
            known = ", ".join(self.engine.models)
            raise ApiError(404, f"no such model: choose from {known}", "model", "not_found")
        return model

    def _check(self, messages: Sequence[ChatMessage]) -> None:
        roles, most = [message["role"] for message in messages], self.engine.limits.max_messages
        if len(roles) > most:
            problem = f"a conversation has at most {most} messages, this one has {len(roles)}"
        elif roles[-1] != "user" or not messages[-1]["content"].strip():
            problem = "the last message must have the role user and contain text"
        else:
            return
        raise ApiError(400, problem, "messages")

    def _prompt_ids(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Encodes messages without fixed texts, as templates take them.

        Messages of one role in a row are joined, and those of the role system come first, joined.
        This also bounds memory: the encoder caches something for each sequence of roles.
        """
        said = [
            message | {"content": own_words(message["content"])}
            if message["role"] == "assistant"
            else message
            for message in messages
        ]
        said.sort(key=lambda message: message["role"] != "system")  # keeps the order of the others
        return self.encoder.prompt_ids(in_turns(said))


class Reply:
    """An answer in progress: its text piece by piece, and then how it ended."""

    def __init__(
        self,
        assistant: Assistant,
        prompt_tokens: int,
        remarks: Remarks,
        stops: StopStrings,
        decode: Callable[[Sequence[int]], str],
    ) -> None:
        self.assistant, self.prompt_tokens, self.remarks = assistant, prompt_tokens, remarks
        self.stops, self.decode = stops, decode
        self.ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.timed_out = False
        self.job: Job | None = None
        self._events: asyncio.Queue[int | End] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def put(self, event: int | End) -> None:
        """Called by the engine's thread."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        """Stops its computation before the next token, unless it has ended."""
        if self.job:
            self.assistant.engine.cancel(self.job)

    async def pieces(self, with_notice: bool = True) -> AsyncIterator[str]:
        """Yields the generated text between its remarks, after blank lines. Raises ApiError."""
        said = ""
        if with_notice and self.remarks.before:
            yield (said := self.remarks.before)
        gap = GAP if said else ""
        async for piece in self._own_pieces():
            yield gap + piece
            said, gap = piece, ""
        if self.remarks.after:
            yield (GAP if said else "") + self.remarks.after

    async def _own_pieces(self) -> AsyncIterator[str]:
        """Yields pieces that together equal what `decode` makes of all ids, up to a stop string."""
        if self.remarks.instead is not None:
            self.finish_reason = "stop"
            if self.remarks.instead:
                yield self.remarks.instead
        sent = 0
        while self.finish_reason is None:
            event = await self._events.get()
            if isinstance(event, End):
                self.finish_reason = self._reason(event)
            else:
                self.ids.append(event)
            is_whole = self.finish_reason is not None
            text = self.decode(self.ids)
            text, stopped = self.stops.cut(text if is_whole else text.rstrip(UNFINISHED), is_whole)
            if stopped:
                self.finish_reason, self.timed_out = "stop", False
                self.cancel()
            elif not is_whole:
                text = text.rstrip()
            if len(text) > sent:
                yield text[sent:]
                sent = len(text)

    def _reason(self, end: End) -> FinishReason:
        if end.reason in ("stop", "length"):
            return end.reason
        self.timed_out = end.reason in ("time", "late")
        if end.reason == "time" or self.remarks.before:  # a notice is worth more than an error
            return "length"
        if end.reason == "late":
            raise busy(self.assistant.engine.limits.retry_after_s)
        raise ApiError(500, "the answer failed: see the server's log", code="internal_error")
