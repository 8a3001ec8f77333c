"""What of Gradio's own application is in reach: the page, its files, and its events."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ApiError

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


class PageGate:
    """Lets only what is OPEN pass, and tells browsers to load nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not OPEN.fullmatch(scope["path"]):
            await ApiError(404, "there is nothing here").response()(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        # Without an origin, Gradio does not answer pages of other sites by CORS rules of its own.
        headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        await self.app({**scope, "headers": headers}, receive, guarded)
