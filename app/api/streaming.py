"""Streams answers as server-sent events."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from app.api import chat_bodies
from app.api.error_responses import ApiError
from app.assistant import Reply


class EventStream(StreamingResponse):
    """Server-sent events; `close` is called at their end and when the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[str], close: Callable[[], None]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self.close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.close()


async def events(
    answer: Reply, first: str, pieces: AsyncIterator[str], head: dict[str, Any], with_usage: bool
) -> AsyncIterator[str]:
    def chunk_of(**choice: Any) -> chat_bodies.ChatCompletionChunk:
        return chat_bodies.ChatCompletionChunk(**head, choices=[chat_bodies.ChunkChoice(**choice)])

    opening = chunk_of(delta=chat_bodies.Delta(role="assistant", content=first))
    yield _event(opening.model_copy(update={"notice": notice_of(answer)}))
    try:
        async for piece in pieces:
            yield _event(chunk_of(delta=chat_bodies.Delta(content=piece)))
    except ApiError as error:
        yield _event(error.body())
        return
    ending = {"finish_reason": answer.finish_reason, "timed_out": answer.timed_out}
    yield _event(chunk_of(delta=chat_bodies.Delta(), **ending))
    if with_usage:
        yield _event(chat_bodies.ChatCompletionChunk(**head, choices=[], usage=usage_of(answer)))
    yield "data: [DONE]\n\n"


def _event(content: BaseModel) -> str:
    return f"data: {content.model_dump_json()}\n\n"


def notice_of(answer: Reply) -> chat_bodies.Notice | None:
    notice = answer.remarks.notice
    return chat_bodies.Notice.model_validate(notice) if notice else None


def usage_of(answer: Reply) -> chat_bodies.Usage:
    prompt, completion = answer.prompt_tokens, len(answer.ids)
    return chat_bodies.Usage(
        prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
    )
