"""Errors that the server returns instead of a completion, in OpenAI's format, one line each."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

LONGEST = 300  # characters in a message, which may quote the request
KINDS = {401: "authentication_error", 500: "server_error", 503: "server_error"}


class ApiError(Exception):
    """A rejected request: its status, one line of text, the field at fault and a short code."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, _one_line(message), code
        self.param, self.headers = param and _one_line(param), headers

    def body(self) -> "ErrorBody":
        kind = KINDS.get(self.status, "invalid_request_error")
        detail = ErrorDetail(message=self.message, type=kind, param=self.param, code=self.code)
        return ErrorBody(error=detail)

    def response(self) -> JSONResponse:
        return JSONResponse(self.body().model_dump(), self.status, headers=self.headers)


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    error: ErrorDetail


def too_long(tokens: int, room: int, answer: int, param: str) -> ApiError:
    text = "conversation" if param == "messages" else param
    message = f"the {text} has {tokens} tokens, but only {room} fit beside an answer of "
    message += f"{answer}: shorten the {text}, or ask for a shorter answer"
    return ApiError(400, message, param, "context_length_exceeded")


def busy(retry_after_s: int) -> ApiError:
    return ApiError(
        503,
        f"too many requests are waiting: try again in {retry_after_s} seconds",
        code="busy",
        headers={"Retry-After": str(retry_after_s)},
    )


def from_validation(error: RequestValidationError) -> ApiError:
    """Says why a body does not match the schema; of several problems, the innermost."""
    problem: dict[str, Any] = max(error.errors(), key=lambda each: len(each["loc"]))
    # For a union of types, pydantic also names the one that it tried, such as list[TextPart].
    places = [str(place) for place in problem["loc"][1:]]
    param = ".".join(place for place in places if "[" not in place)
    if problem["type"] == "json_invalid":
        param, message = "", f"the body is not valid JSON: {problem['ctx']['error']}"
    elif problem["type"] in ("missing", "model_attributes_type") and not places:
        message = "the body must be a JSON object, sent as application/json"
    elif problem["type"] == "extra_forbidden":
        message = f"{places[-1]} is not supported: leave it out"
    else:
        message = f"{param or 'the body'}: {problem['msg']}"
    return ApiError(400, message, param or None, problem["type"])


def _one_line(text: str) -> str:
    return " ".join(text.encode(errors="replace").decode().split())[:LONGEST]
