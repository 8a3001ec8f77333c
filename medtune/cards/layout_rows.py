"""Turns a row of a recognised layout into cards."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from medtune.cards.column_names import ColumnLayout
from medtune.cards.conversations import LastTurn, pair_messages, parsed, read_conversation
from medtune.runtime.table_cells import Row, text_of

# Instructions that say nothing about the question in `input`: Medical Meadow's and ChatDoctor's.
EMPTY_INSTRUCTION = re.compile(
    r"(?:please )?answer this question truthfully"
    r"|if you are a doctor, please answer the medical questions based on the patient's description",
    re.IGNORECASE,
)
WITH_CONTEXT = "with a context"
WITHOUT_INSTRUCTION = "without an instruction that all share"
SEVERAL_TURNS = "with several turns"


class RawCard(NamedTuple):
    """A card of a table: its last turn and its labels, as the columns have them."""

    turn: LastTurn
    subject: str  # the question without context, from which kind and topic are parsed
    remark: str  # what the log counts
    is_conversation: bool
    kind: object
    topic: object


def cards_of_row(layout: ColumnLayout, row: Row) -> Iterator[RawCard]:
    """Yields the cards of a row: one, but in a file of SQuAD's many."""
    parts: dict[str, Any] = {part: row.get(column) for part, column in layout.parts}
    if layout.name != "SQuAD file":
        yield _make_card(layout, parts)
        return
    for paragraph in _objects(parts["paragraphs"]):
        for asked in _objects(paragraph.get("qas")):
            cells = {"question": asked.get("question"), "answer": asked.get("answers")}
            yield _make_card(layout, {**parts, **cells, "context": paragraph.get("context")})


def _objects(cell: object) -> list[dict[str, Any]]:
    return [item for item in cell if isinstance(item, dict)] if isinstance(cell, list) else []


def _make_card(layout: ColumnLayout, parts: Mapping[str, Any]) -> RawCard:
    labels = parts.get("kind"), parts.get("topic")
    messages = _messages(parts)
    if messages is not None:
        turn = read_conversation(messages, system=parts.get("system"))
        return RawCard(turn, *_remark(turn, turn.question or "", ""), True, *labels)
    question, subject, remark = _join_question(layout, parts)
    answer, system = parts.get("answer"), parts.get("system")
    if layout.name == "SQuAD" and str(answer).startswith("{"):  # an object that CSV has as text
        answer = parsed(answer)
    answer = _first_text(answer)
    turn = LastTurn(question, answer)
    earlier = pair_messages(parts.get("history"))
    if question and answer and (earlier or text_of(system)):
        last = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        turn = read_conversation([*earlier, *last], system=system)
    return RawCard(turn, *_remark(turn, subject, remark), False, *labels)


def _messages(parts: Mapping[str, Any]) -> object:
    """Returns the messages of a conversation, also of TRL's lists of them in prompt, completion."""
    if "messages" in parts:
        return parts["messages"] or []
    prompt, completion = parts.get("question"), parts.get("answer")
    if _are_messages(prompt) or _are_messages(completion):
        return [*_as_messages(prompt, "user"), *_as_messages(completion, "assistant")]
    return None


def _are_messages(cell: object) -> bool:
    return any(not {"role", "from"}.isdisjoint(item) for item in _objects(cell))


def _as_messages(cell: Any, role: str) -> list[Any]:
    return cell if isinstance(cell, list) else [{"role": role, "content": cell}]


def _remark(turn: LastTurn, subject: str, remark: str) -> tuple[str, str]:
    """Returns the subject and the remark; "What causes it?" in a later turn is not about "it"."""
    if any(message.role == "user" for message in turn.history):
        return "", SEVERAL_TURNS
    return subject, remark


def _join_question(layout: ColumnLayout, parts: Mapping[str, Any]) -> tuple[str | None, str, str]:
    """Returns the question with its context, the question alone and the log's remark."""
    asked, context = text_of(parts.get("question")), _context_text(parts.get("context"))
    if not context or context.isspace():
        return asked, asked or "", ""
    wording = " ".join((asked or "").split()).rstrip(".:!").replace("’", "'")
    if layout.name == "Alpaca":
        if EMPTY_INSTRUCTION.fullmatch(wording):
            return context, context, WITHOUT_INSTRUCTION
        return f"{asked}\n\n{context}" if wording else context, wording, WITH_CONTEXT
    return f"{context}\n\n{asked}" if wording else asked, wording, WITH_CONTEXT


def _context_text(cell: object) -> str:
    """Returns a context, whose passages may be a list, or a list in an object (PubMedQA)."""
    if isinstance(cell, dict):
        cell = cell.get("contexts")
    if isinstance(cell, list):
        return "\n\n".join(filter(None, map(text_of, cell)))
    return text_of(cell) or ""


def _first_text(cell: object) -> str | None:
    """Returns the text of an answer, or the first of SQuAD's nested texts; "" if there is none."""
    if isinstance(cell, dict):
        return _first_text(cell.get("text"))
    if isinstance(cell, list):
        return _first_text(cell[0]) if cell else ""
    return text_of(cell)
