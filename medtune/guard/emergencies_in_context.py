"""Finds emergencies that show only in a conversation, as when a plan follows on distress."""

import re
from collections.abc import Sequence

from medtune.guard.rules import SELF_HARM, normalized, reasons

NEAR = 3  # earlier questions that are read together with the last one
LONGEST = 600  # characters of a question that are read together with others
PERSONAL = re.compile(
    r"\b(i|im|ive|me|my|we|our|he|hes|his|him|she|shes|her|they|it|its|now|and|also|still)\b"
)
ASKS_FACTS = re.compile(
    r"^(what|which|who|where|define|explain|list|name|how (is|are|do|does|can))\b"
)


def kind_in_context(question: str, earlier: Sequence[str], after_distress: bool) -> str | None:
    """Returns the kind of an emergency that a question shows only with the questions before it.

    After distress, a plan, a means or a farewell is a sign of suicide. Otherwise, a rule must match
    the questions together that does not match the earlier ones alone, and the last question must
    speak of the same people, not ask about facts.
    """
    sentences = normalized(question)
    if not sentences:
        return None
    if after_distress and "intent" in reasons("distress", question).values():
        return SELF_HARM
    if ASKS_FACTS.match(sentences[0]) or not PERSONAL.search(" ".join(sentences)):
        return None
    near = " ".join(text[:LONGEST].rstrip(".!?") for text in earlier[-NEAR:])
    known = reasons("emergency", near)
    together = reasons("emergency", f"{near} {question[:LONGEST]}")
    return next((kind for name, kind in together.items() if name not in known), None)
