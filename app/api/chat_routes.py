"""The route of OpenAI's chat completions."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request

from app.api.chat_bodies import AnswerMessage, ChatCompletion, ChatRequest, Choice
from app.api.disconnects import unless_gone
from app.api.error_responses import ApiError
from app.api.field_types import stop_strings
from app.api.streaming import EventStream, events, notice_of, usage_of
from app.assistant import Assistant

STREAM: dict[int | str, Any] = {
    200: {
        "description": "The answer; with `stream`, chunks of it, which end with [DONE]",
        "content": {"text/event-stream": {}},
    }
}


def add_chat_routes(app: FastAPI, assistant: Assistant) -> None:
    @app.post("/v1/chat/completions", response_model=ChatCompletion, responses=STREAM)
    async def create_chat_completion(body: ChatRequest, request: Request) -> Any:
        """Answers a conversation, at once or, with `stream`, piece by piece."""
        if body.max_tokens and body.max_completion_tokens:
            problem = "max_tokens is the older name of max_completion_tokens: leave one of them out"
            raise ApiError(400, problem, "max_tokens")
        answer = assistant.ask(
            body.model,
            [message.for_prompt() for message in body.messages],
            seed=body.seed,
            stop=stop_strings(body.stop),
            temperature=body.temperature,
            top_p=body.top_p,
            frequency_penalty=body.frequency_penalty,
            max_new_tokens=body.max_completion_tokens or body.max_tokens,
        )
        pieces = answer.pieces()
        head: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body.model,
        }
        try:
            first = await unless_gone(request, anext(pieces, ""))
            if body.stream:
                with_usage = body.stream_options is not None and body.stream_options.include_usage
                return EventStream(events(answer, first, pieces, head, with_usage), answer.cancel)
            rest = await unless_gone(request, _joined(pieces))
        except BaseException:
            answer.cancel()
            raise
        message = AnswerMessage(content=first + rest)
        assert answer.finish_reason is not None
        choice = Choice(
            message=message, finish_reason=answer.finish_reason, timed_out=answer.timed_out
        )
        return ChatCompletion(
            **head, choices=[choice], usage=usage_of(answer), notice=notice_of(answer)
        )


async def _joined(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])
