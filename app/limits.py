"""The limits of one request, of a text typed on the page, and of the server as a whole."""

from dataclasses import dataclass, field, fields
from typing import Any

from medtune.runtime.errors import InputError

MAX_TYPED_CHARACTERS = 4000  # a question or comment on the Gradio page; two such fit into a request


def limit(default: float, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Limits:
    """Each field is an option of `medtune chat`."""

    max_rows: int = limit(32, "Answers computed together; with more, each gets slower.")
    max_waiting: int = limit(64, "Requests that may wait; one more is refused with 503.")
    max_messages: int = limit(64, "Messages in a conversation.")
    max_prompt_tokens: int = limit(1024, "Tokens in a conversation, including the template's.")
    max_new_tokens: int = limit(512, "Tokens that a request may ask for in an answer.")
    time_limit_s: float = limit(120.0, "Seconds for an answer, including waiting; then it is cut.")
    max_body_bytes: int = limit(32 * 1024, "Bytes in the body of a request.")
    head_time_limit_s: float = limit(10.0, "Seconds for a client to send its request's headers.")
    body_time_limit_s: float = limit(10.0, "Seconds for a client to send its request's body.")
    max_connections: int = limit(512, "Open connections; one more is closed with 503.")
    retry_after_s: int = limit(5, "Seconds that a refused client is told to wait.")

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) > 0:
                option = each.name.replace("_", "-")
                raise InputError(
                    f"--{option} must be greater than 0, got {getattr(self, each.name)}"
                )
