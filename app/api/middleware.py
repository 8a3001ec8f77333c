"""Checks a request's key and the size of its body before it reaches the application."""

import asyncio
import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_responses import ApiError
from app.limits import Limits


def needs_key(path: str) -> bool:
    return path.startswith("/v1")


class RequireKey:
    """Lets requests to /v1 pass only with the key."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app, self.expected = app, f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and needs_key(scope["path"]):
            given = Headers(scope=scope).get("authorization", "").encode("latin-1")
            if not secrets.compare_digest(given, self.expected):
                headers = {"WWW-Authenticate": "Bearer"}
                message = "the API key is missing or wrong: send Authorization: Bearer KEY"
                refused = ApiError(401, message, code="invalid_api_key", headers=headers)
                await refused.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


class LimitBody:
    """Reads the whole body before the application runs, with a limit on size and time."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.limits.body_time_limit_s):
                body = await self._read(scope, receive)
        except ApiError as refused:
            await refused.response()(scope, receive, send)
        except TimeoutError:
            await ApiError(408, "the body took too long to arrive").response()(scope, receive, send)
        else:
            if body is not None:
                whole: Message = {"type": "http.request", "body": body, "more_body": False}
                await self.app(scope, replay(whole, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Returns the body, or None if the client has left."""
        most = self.limits.max_body_bytes
        body, more = b"", True
        size = int(Headers(scope=scope).get("content-length", "0"))  # which the server has checked
        while more and size <= most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            size, more = max(size, len(body)), message.get("more_body", False)
        if size > most:
            raise ApiError(413, f"the body is larger than {most} bytes", code="too_large")
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise ApiError(400, f"the body is not UTF-8 at byte {error.start}") from None
        return body


def replay(first: Message, receive: Receive) -> Receive:
    """Returns a `receive` that gives the first message once more."""
    unseen: list[Message] = [first]

    async def replayed() -> Message:
        return unseen.pop() if unseen else await receive()

    return replayed
