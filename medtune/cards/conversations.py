"""Reads conversations, in OpenAI's words (role, content) and in ShareGPT's (from, value)."""

import json
import warnings
from ast import literal_eval
from collections.abc import Iterable, Mapping, Sequence
from itertools import dropwhile
from typing import Any, NamedTuple

from medtune.cards.records import NO_CONVERSATION, UNKNOWN_ROLE, Message, Role
from medtune.runtime.table_cells import text_of

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
TOOL_KEYS = ("tool_calls", "function_call")
CONTENT_KEYS = ("content", "value", "text")
MAX_LITERAL = 2**20  # characters; Python needs a hundred times their memory


class LastTurn(NamedTuple):
    """The last answered question of a conversation and what came before it, or why it has none."""

    question: str | None = None
    answer: str | None = None
    history: tuple[Message, ...] = ()
    drop_reason: str = ""


def read_conversation(messages: object, *, system: object = None) -> LastTurn:
    """Returns the last question with its answer and history.

    `messages` is a list of messages, an object of lists (as `datasets` stores some) or either as
    a text (see parsed). Empty messages are left out, and neighbours of one role become one message.
    """
    rows = _list_messages(messages)
    if rows is None:
        return LastTurn(drop_reason=NO_CONVERSATION)
    if first := text_of(system):
        rows = [{"role": "system", "content": first}, *rows]
    read: list[Message] = []
    for row in rows:
        role = ROLES.get(str(row.get("role") or row.get("from")).lower())
        if role is None or any(row.get(key) for key in TOOL_KEYS):
            return LastTurn(drop_reason=UNKNOWN_ROLE)
        said = (row[key] for key in CONTENT_KEYS if row.get(key) is not None)
        content = _read_content(next(said, None))
        if content is None:
            return LastTurn(drop_reason=NO_CONVERSATION)
        if content and not content.isspace():
            read.append(Message(role, content))
    return _split_off_last(_join_neighbours(_in_order(read)))


def _in_order(messages: Sequence[Message]) -> list[Message]:
    """Puts system messages first and leaves out what the assistant says before any question.

    Many templates refuse other orders.
    """
    system = [message for message in messages if message.role == "system"]
    said = (message for message in messages if message.role != "system")
    return [*system, *dropwhile(lambda message: message.role == "assistant", said)]


def pair_messages(pairs: object) -> list[dict[str, Any]]:
    """Returns the messages of earlier turns that are given as pairs of question and answer.

    The pairs are a list, or a text (see parsed); a missing half is left out.
    """
    pairs = parsed(pairs)
    rows = pairs if isinstance(pairs, list) else []
    return [
        {"role": role, "content": text}
        for pair in rows
        if isinstance(pair, list)
        for role, text in zip(("user", "assistant"), pair, strict=False)
        if text is not None
    ]


def parsed(cell: object) -> Any:
    """Returns what a text holds, in JSON or in Python's or NumPy's notation; None if it is neither.

    Other cells are returned as they are.
    """
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    cell = cell.replace("}\n {", "},\n {")  # NumPy prints no comma; its texts have no line ends
    try:
        with warnings.catch_warnings(action="ignore"):  # about backslashes
            return literal_eval(cell) if len(cell) <= MAX_LITERAL else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _list_messages(cell: object) -> list[Mapping[str, Any]] | None:
    cell = parsed(cell)
    if isinstance(cell, dict):
        columns = [values for values in cell.values() if isinstance(values, list)]
        if len(columns) < len(cell) or len({len(values) for values in columns}) > 1:
            return None
        cell = [dict(zip(cell, row, strict=True)) for row in zip(*columns, strict=True)]
    if not isinstance(cell, list) or not all(isinstance(row, dict) for row in cell):
        return None
    return cell


def _read_content(content: object) -> str | None:
    """Returns the text of a message, whose content may be a part, or a list of them, of text."""
    parts = content if isinstance(content, list) else [content]
    texts = [text_of(part.get("text") if isinstance(part, dict) else part) for part in parts]
    known = [text for text in texts if text is not None]
    return "\n".join(known) if len(known) == len(texts) else None


def _join_neighbours(messages: Iterable[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            message = Message(message.role, f"{joined.pop().content}\n\n{message.content}")
        joined.append(message)
    return joined


def _split_off_last(messages: Sequence[Message]) -> LastTurn:
    """Splits at the last answer that follows a question; questions after it have no answer."""
    for end in range(len(messages) - 1, 0, -1):
        asked = [place for place in range(end) if messages[place].role == "user"]
        if messages[end].role == "assistant" and asked:
            start = asked[-1]
            history = (*messages[:start], *messages[start + 1 : end])
            return LastTurn(messages[start].content, messages[end].content, history)
    return LastTurn(drop_reason=NO_CONVERSATION)
