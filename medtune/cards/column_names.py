"""Recognises the layout of a table by the names of its columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medtune.cards.table_errors import lacks_header, listed
from medtune.runtime.errors import InputError

Part = Literal[
    "messages", "paragraphs", "system", "history", "question", "context", "answer", "kind", "topic"
]

QUESTIONS: tuple[str, ...] = ("question", "questions", "q", "query", "front", "ask", "patient")
QUESTIONS += ("frage", "pregunta", "domanda", "pergunta", "vraag")
ANSWERS: tuple[str, ...] = (
    "answer",
    "answers",
    "a",
    "response",
    "back",
    "reply",
    "doctor",
    "output",
    "long_answer",
)
ANSWERS += ("antwort", "réponse", "reponse", "respuesta", "risposta", "resposta", "antwoord")
SYSTEM = ("system", "system_prompt")
LABELS: Mapping[Part, Sequence[str]] = {
    "kind": ("kind", "qtype", "question_type", "category"),
    "topic": ("topic", "focus_area", "question_focus", "chapter"),
}


@dataclass(frozen=True)
class Pattern:
    """The columns of a layout: each part of a card with the names that its column may have."""

    name: str
    needs: Mapping[Part, Sequence[str]]
    may_have: Mapping[Part, Sequence[str]] = field(default_factory=dict)
    shown: str = ""  # in the list of known layouts


# The first that fits wins.
PATTERNS = (
    Pattern("messages", {"messages": ("messages",)}, {"system": SYSTEM}, "messages (OpenAI)"),
    Pattern(
        "ShareGPT",
        {"messages": ("conversations", "conversation")},
        {"system": SYSTEM},
        "conversations (ShareGPT)",
    ),
    Pattern(
        "SQuAD file", {"paragraphs": ("paragraphs",)}, {"topic": ("title",)}, "SQuAD's own file"
    ),
    Pattern(
        "SQuAD",
        {"question": ("question",), "context": ("context",), "answer": ("answers",)},
        {"topic": ("title",)},
        "question, context, answers (SQuAD)",
    ),
    Pattern(
        "MedQuAD",
        {"kind": ("qtype",), "question": ("question",), "answer": ("answer",)},
        {"topic": LABELS["topic"]},
        "qtype, Question, Answer (MedQuAD)",
    ),
    Pattern(
        "Alpaca",
        {"question": ("instruction",), "answer": ("output", "response")},
        {"context": ("input", "context"), "system": SYSTEM, "history": ("history",), **LABELS},
        "instruction, input, output (Alpaca, Medical Meadow)",
    ),
    Pattern(
        "prompt-completion",
        {"question": ("prompt",), "answer": ("completion", "response")},
        {"system": SYSTEM, **LABELS},
        "prompt, completion",
    ),
    Pattern(
        "question-answer table",
        {"question": QUESTIONS, "answer": ANSWERS},
        {"context": ("context",), **LABELS},
        "question, answer (also front, back and other usual names, and Anki's text exports)",
    ),
)


@dataclass(frozen=True)
class ColumnLayout:
    """A recognised layout: the column of each part of a card, and the columns that are not read."""

    name: str
    parts: tuple[tuple[Part, str], ...]
    unread: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        return [column for _, column in self.parts]


def recognise(path: Path, found: Sequence[str]) -> ColumnLayout:
    """Returns the layout of a table with these columns.

    Raises InputError if no layout fits, or if two columns could be the same part of a card.
    """
    names: dict[str, list[str]] = {}
    for column in found:
        names.setdefault(_fold(column), []).append(column)
    for pattern in PATTERNS:
        wanted = {**pattern.needs, **pattern.may_have}
        columns = {
            part: [column for name in known for column in names.get(name, ())]
            for part, known in wanted.items()
        }
        if all(columns[part] for part in pattern.needs):
            for part in pattern.needs:
                _refuse_doubt(path, part, columns[part])
            parts = tuple((part, fitting[0]) for part, fitting in columns.items() if fitting)
            read = [column for _, column in parts]
            return ColumnLayout(
                pattern.name, parts, tuple(name for name in found if name not in read)
            )
    raise InputError(_explain_unknown(path, found))


def _fold(column: str) -> str:
    return re.sub(r"[\W_]+", "_", column.casefold()).strip("_")


def _refuse_doubt(path: Path, part: str, columns: Sequence[str]) -> None:
    if len(columns) > 1:
        raise InputError(
            f"{path} has several columns that may be the {part}, {listed(map(repr, columns))}: "
            "choose with clean.reader=columns and clean.columns={question: …, answer: …}"
        )


def _explain_unknown(path: Path, found: Sequence[str]) -> str:
    names = listed(map(repr, found))
    remedy = "set clean.reader to columns and name them in clean.columns"
    if lacks_header(path, found):
        return (
            f"{path} has no header, but begins with {names}: write a row question,answer above "
            f"it; or, if these are names of columns, {remedy}"
        )
    known = "; ".join(pattern.shown for pattern in PATTERNS)
    return (
        f"{path} has the columns {names}, which is no layout that clean.reader auto knows "
        f"({known}): {remedy}"
    )
