"""Limits Gradio's application to what the page needs: the page, its files and its events."""

import json
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ApiError
from app.middleware import replay

# Closed are uploads and downloads, the proxy, the recorded runs, the API's description and more.
OPEN = re.compile(
    r"/|/(assets|static)/.+|/(theme\.css|favicon\.ico|manifest\.json|login)/?"
    r"|/gradio_api/(queue/join|queue/data|heartbeat/[^/]+|startup-events)/?"
)
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)


class PageFilter:
    """Lets only requests to OPEN paths pass, and tells browsers to load nothing from other sites.

    `inputs` says how many values each event takes, by the event's number: Gradio would print the
    values of an event that has more or fewer. If `framed` is false, no other page may embed this.
    """

    def __init__(self, app: ASGIApp, inputs: Mapping[int, int], framed: bool) -> None:
        self.app, self.inputs = app, inputs
        self.policy = POLICY if framed else f"{POLICY}; frame-ancestors 'none'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not OPEN.fullmatch(scope["path"]):
            await ApiError(404, "there is nothing here").response()(scope, receive, send)
            return
        if scope["method"] == "POST" and "/queue/join" in scope["path"]:
            first = await receive()
            if not self._fits(first.get("body", b"")):
                await ApiError(400, "the page has no such event").response()(scope, receive, send)
                return
            receive = replay(first, receive)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self.policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        # Without an origin, Gradio does not apply its own CORS rules to pages of other sites.
        headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        await self.app({**scope, "headers": headers}, receive, guarded)

    def _fits(self, body: bytes) -> bool:
        """Whether a body, which LimitBody has read whole, has as many values as its event takes."""
        try:
            event = json.loads(body)
            return len(event["data"]) == self.inputs[event["fn_index"]]
        except (ValueError, TypeError, LookupError, RecursionError):
            return False
