"""What the server grants one request, and how many it takes at once."""

from dataclasses import dataclass, field, fields
from typing import Any

from medtune.runtime.errors import InputError


def limit(default: float, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Limits:
    """Each is an option of `medtune chat`."""

    max_rows: int = limit(32, "Answers computed together; more serves more at once, each slower.")
    max_waiting: int = limit(64, "Requests that wait for a place; one more is refused with 503.")
    max_messages: int = limit(64, "Messages of a conversation.")
    max_prompt_tokens: int = limit(1024, "Tokens of a conversation, the template's included.")
    max_new_tokens: int = limit(512, "Tokens of an answer that a request may ask for.")
    time_limit_s: float = limit(120.0, "For an answer, waiting included; then it is cut.")
    max_body_bytes: int = limit(32 * 1024, "Size of a request.")
    body_time_limit_s: float = limit(10.0, "For a client to send its request.")
    retry_after_s: int = limit(5, "How long a refused client is told to wait.")

    def __post_init__(self) -> None:
        for each in fields(self):
            if not getattr(self, each.name) > 0:
                option = each.name.replace("_", "-")
                raise InputError(
                    f"--{option} must be greater than 0, got {getattr(self, each.name)}"
                )
