"""The API: OpenAI's protocol over an Assistant."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from app.api import protocol
from app.api.completions import add_completions
from app.api.docs import add_docs
from app.api.errors import ApiError, ErrorBody, from_validation
from app.api.fields import stop_strings
from app.api.leaving import unless_gone
from app.api.middleware import LimitBody, RequireKey, needs_key
from app.api.static import mount_web
from app.api.streaming import EventStream, events, notice_of, usage_of
from app.assistant import Assistant, busy
from medtune.disclaimer import DISCLAIMER
from medtune.runtime.errors import InputError

ERRORS: dict[int | str, Any] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered as it is"},
    "5XX": {
        "model": ErrorBody,
        "description": "503: too many requests, see Retry-After; or our error",
    },
}
STREAM: dict[int | str, Any] = {
    200: {
        "description": "The answer; with `stream`, chunks of it, which end with [DONE]",
        "content": {"text/event-stream": {}},
    }
}


EXAMPLES: dict[str, dict[str, Any]] = {
    "ChatRequest": {"messages": [{"role": "user", "content": "What is gout?"}]},
    "CompletionRequest": {"prompt": "Gout is"},
}


class Server(FastAPI):
    """An app whose OpenAPI document lists its models and limits, and what needs the key."""

    def openapi(self) -> dict[str, Any]:
        document, engine = super().openapi(), self.state.assistant.engine
        if self.state.asks_for_key:
            document["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer"}
            }
            for path in filter(needs_key, document["paths"]):
                for operation in document["paths"][path].values():
                    operation["security"] = [{"key": []}]
        schemas = document["components"]["schemas"]
        for name, example in EXAMPLES.items():
            schemas[name]["examples"] = [{"model": engine.models[0], **example}]
            fields = schemas[name]["properties"]
            fields["model"]["enum"] = engine.models
            for length in fields.keys() & {"max_tokens", "max_completion_tokens"}:
                fields[length]["anyOf"][0]["maximum"] = engine.limits.max_new_tokens
        schemas["ChatRequest"]["properties"]["messages"]["maxItems"] = engine.limits.max_messages
        return document


def create_app(
    assistant: Assistant,
    key: str | None = None,
    origins: Sequence[str] = (),
    hosts: Sequence[str] = ("*",),
) -> FastAPI:
    """Returns the server. Requests to /v1 need the `key`; `origins` are the pages that may call it.

    `hosts` are the host names that requests may use; this stops pages elsewhere whose own name was
    made to point to this server (DNS rebinding).
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        assistant.engine.start()
        yield
        await asyncio.to_thread(assistant.engine.stop)

    app = Server(
        title="medtune",
        description=DISCLAIMER,
        lifespan=lifespan,
        responses=ERRORS,
        docs_url=None,
        redoc_url=None,
    )
    app.state.assistant = assistant  # for pages of the same server
    app.state.asks_for_key = bool(key)
    app.add_middleware(LimitBody, limits=assistant.engine.limits)
    if key:
        app.add_middleware(RequireKey, key=key)
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)
    _add_error_handlers(app)
    _add_status(app, assistant)
    _add_models(app, assistant)
    _add_chat_completions(app, assistant)
    add_completions(app, assistant)
    add_docs(app)
    _refuse_other_methods(app)
    mount_web(app)
    return app


def _refuse_other_methods(app: FastAPI) -> None:
    """Answers 405 on the API's paths itself; a page mounted at "/" would answer in its place."""
    for route in [route for route in app.routes if isinstance(route, Route)]:
        allowed = ", ".join(sorted(route.methods or ()))
        refusal = ApiError(405, f"{route.path} allows only {allowed}", headers={"Allow": allowed})
        app.router.routes.append(Route(route.path, refusal.response(), include_in_schema=False))


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return from_validation(error).response()

    @app.exception_handler(HTTPException)
    async def failed(_: Request, error: HTTPException) -> Response:
        return ApiError(error.status_code, error.detail, headers=error.headers).response()

    @app.exception_handler(InputError)  # raised by the model's chat template
    async def refused_by_template(_: Request, error: InputError) -> Response:
        return ApiError(400, str(error), "messages").response()

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=499)  # nobody reads it

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> Response:
        return ApiError(500, "internal error: see the server's log").response()


def _add_status(app: FastAPI, assistant: Assistant) -> None:
    @app.get("/health")
    async def health() -> protocol.Status:
        """Whether the server runs."""
        return protocol.Status(status="ok")

    @app.get("/ready")
    async def ready() -> protocol.Status:
        """Whether a request would be accepted now."""
        if not assistant.engine.is_ready:
            raise busy(assistant.engine.limits.retry_after_s)
        return protocol.Status(status="ready")


def _add_models(app: FastAPI, assistant: Assistant) -> None:
    started = int(time.time())
    models = {name: protocol.Model(id=name, created=started) for name in assistant.engine.models}

    @app.get("/v1/models")
    async def list_models() -> protocol.ModelList:
        return protocol.ModelList(data=list(models.values()))

    @app.get("/v1/models/{model}")
    async def retrieve_model(model: str) -> protocol.Model:
        return models[assistant.known(model)]


def _add_chat_completions(app: FastAPI, assistant: Assistant) -> None:
    @app.post("/v1/chat/completions", response_model=protocol.ChatCompletion, responses=STREAM)
    async def create_chat_completion(body: protocol.ChatRequest, request: Request) -> Any:
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
        message = protocol.AnswerMessage(content=first + rest)
        assert answer.finish_reason is not None
        choice = protocol.Choice(
            message=message, finish_reason=answer.finish_reason, timed_out=answer.timed_out
        )
        return protocol.ChatCompletion(
            **head, choices=[choice], usage=usage_of(answer), notice=notice_of(answer)
        )


async def _joined(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])
