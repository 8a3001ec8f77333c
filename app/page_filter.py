"""What of Gradio's own application is in reach: the page, its files, and its events."""

import json
import re
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ApiError
from app.middleware import replay

# Left out are uploads and downloads, the proxy, the recorded runs, the API's description and more.
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
    """Lets only what is OPEN pass, and tells browsers to load nothing from elsewhere.

    `inputs` is how many values each event takes, by its number: Gradio prints the values of one
    that takes another number. Where `framed` is false, no other page may show this one.
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
                await ApiError(400, "this is no event of the page").response()(scope, receive, send)
                return
            receive = replay(first, receive)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self.policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        # Without an origin, Gradio does not answer pages of other sites by CORS rules of its own.
        headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        await self.app({**scope, "headers": headers}, receive, guarded)

    def _fits(self, body: bytes) -> bool:
        """Whether an event's body, which LimitBody has read whole, has the values it takes."""
        try:
            event = json.loads(body)
            return len(event["data"]) == self.inputs[event["fn_index"]]
        except (ValueError, TypeError, LookupError, RecursionError):
            return False
