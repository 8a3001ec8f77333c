"""Limits Gradio's application to what the page needs: the page, its files and its events."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Annotated, Any

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_responses import ApiError
from app.api.middleware import replay

# Closed are uploads and downloads, the proxy, the recorded runs, the API's description and more.
OPEN = re.compile(
    r"/|/(assets|static)/.+|/(theme\.css|favicon\.ico|manifest\.json|login)/?"
    r"|/gradio_api/(queue/join|queue/data|heartbeat/[^/]+|startup-events)/?"
)
NEED_KEY = "/gradio_api/"
SIGN_IN = Path(__file__).with_name("sign_in.html")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)


class Sent(BaseModel):
    """What a page sends about an event, as far as Gradio reads it."""

    model_config = ConfigDict(strict=True)

    fn_index: int
    data: list[Any]
    session_hash: Annotated[str, Field(pattern=r"^\w{1,64}$")]
    trigger_id: int | None = None
    event_id: None = None
    event_data: dict[str, Any] | None = None
    simple_format: bool = False
    batched: bool | None = None


class Liked(BaseModel):
    index: Any = Field()
    value: Any = Field()
    liked: Any = Field()


class ChosenText(BaseModel):
    text: str


class Chosen(BaseModel):
    index: Any = Field()
    value: ChosenText


TYPES: dict[type, tuple[type, ...]] = {
    gr.Radio: (str,),
    gr.Slider: (int, float),
    gr.Textbox: (str, NoneType),
}
EVENT_DATA: dict[str, type[BaseModel]] = {"like": Liked, "example_select": Chosen}


@dataclass(frozen=True)
class PageEvent:
    """The components whose values an event takes, and what else its triggers send."""

    inputs: Sequence[Any]
    data: Sequence[type[BaseModel]]

    def accepts(self, sent: Sent) -> bool:
        """Whether Gradio would take what was sent without an error, which it would print."""
        try:
            for kind in self.data:
                kind.model_validate(sent.event_data)
            return all(_is_value(*pair) for pair in zip(self.inputs, sent.data, strict=True))
        except ValueError:
            return False


def events_of(page: gr.Blocks) -> dict[int, PageEvent]:
    """Describes the events that the server handles; others never leave the browser."""
    found = {}
    for number, function in page.fns.items():
        names = {name for _, name in function.targets}
        data = [kind for name, kind in EVENT_DATA.items() if name in names]
        if function.fn is not None:
            found[number] = PageEvent(function.inputs, data)
    return found


def _is_value(component: Any, value: Any) -> bool:
    if type(value) not in TYPES[type(component)]:  # the exact type, because True is an int
        return False
    if isinstance(value, float) and not isfinite(value):
        return False
    try:
        component.preprocess(value)
    except gr.Error:
        return False
    return True


class PageFilter:
    """Lets only requests to OPEN paths pass, and tells browsers to load nothing from other sites.

    `events` describes each event by its number: Gradio would print a broken one with its values.
    `knows` says whether a request is of somebody who has signed in, and others get sign_in.html in
    place of the page; without it, all may ask, and other pages may embed this one.
    """

    def __init__(
        self,
        app: ASGIApp,
        events: Mapping[int, PageEvent],
        knows: Callable[[HTTPConnection], bool] | None = None,
    ) -> None:
        self.app, self.events, self.knows = app, events, knows
        self.policy = f"{POLICY}; frame-ancestors 'none'" if knows else POLICY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            receive = await self._checked(scope, receive)
        except ApiError as refused:
            await refused.response()(scope, receive, send)
            return
        # Without an origin, Gradio does not apply its own CORS rules to pages of other sites.
        app = self.app
        if scope["path"] == "/" and self.knows and not self.knows(HTTPConnection(scope)):
            app = FileResponse(SIGN_IN, headers={"Cache-Control": "no-store"})
        headers = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        await self._pass(app, {**scope, "headers": headers}, receive, send)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """Returns how to receive the request; raises ApiError if the page needs no such one."""
        path = scope["path"]
        if not OPEN.fullmatch(path):
            raise ApiError(404, "there is nothing here")
        if self.knows and path.startswith(NEED_KEY) and not self.knows(HTTPConnection(scope)):
            raise ApiError(401, "sign in first", code="not_signed_in")
        if scope["method"] != "POST" or "/queue/join" not in path:
            return receive
        first = await receive()
        if not self._fits(first.get("body", b"")):
            raise ApiError(400, "the page has no such event")
        return replay(first, receive)

    async def _pass(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def guarded(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self.policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        try:
            await app(scope, receive, guarded)
        except (HTTPException, RuntimeError):
            # Gradio raises its 404 once more after it has told a page that its session is gone.
            if not has_begun or "/queue/data" not in scope["path"]:
                raise
            await send({"type": "http.response.body"})

    def _fits(self, body: bytes) -> bool:
        """Whether a body, which LimitBody has read whole, is an event of the page."""
        try:
            sent = Sent.model_validate_json(body)
        except ValidationError:
            return False
        event = self.events.get(sent.fn_index)
        return event is not None and event.accepts(sent)
