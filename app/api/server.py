"""The API: OpenAI's protocol over an Assistant."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from app.api.chat_routes import add_chat_routes
from app.api.docs import add_docs
from app.api.error_responses import ApiError, ErrorBody, from_validation
from app.api.middleware import LimitBody, RequireKey, needs_key
from app.api.model_routes import add_model_routes
from app.api.static import mount_web
from app.api.status_routes import add_status_routes
from app.api.text_routes import add_text_routes
from app.assistant import Assistant
from medtune.disclaimer import DISCLAIMER
from medtune.runtime.errors import InputError

ERRORS: dict[int | str, Any] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered as it is"},
    "5XX": {
        "model": ErrorBody,
        "description": "503: too many requests, see Retry-After; or our error",
    },
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
        version=version("medtune"),
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
    add_status_routes(app, assistant)
    add_model_routes(app, assistant)
    add_chat_routes(app, assistant)
    add_text_routes(app, assistant)
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
