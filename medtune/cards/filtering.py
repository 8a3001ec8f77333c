"""Cleans a card and decides whether to keep it, or why to drop it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medtune.cards.cleaning import RULES, Rule, clean_text, unreadable_share
from medtune.cards.personal_data import mask_personal_data
from medtune.cards.records import LEFT_OUT_TERM, NO_CONVERSATION, UNKNOWN_ROLE, Texts
from medtune.config.schema import Clean

REASONS = (
    "not_text",
    "unresolvable_encoding",
    "empty_question",
    "empty_answer",
    "answer_equals_question",
    "question_too_short",
    "question_too_long",
    "answer_too_short",
    "answer_too_long",
    "personal_data",
    LEFT_OUT_TERM,
    "duplicate",
)
MISSING_VALUE = "missing_value"
RARE_REASONS = (MISSING_VALUE, NO_CONVERSATION, UNKNOWN_ROLE)  # counted only where they occur
# How Python, pandas, databases and Excel write that a cell has no value.
MISSING_TEXTS = {"None", "nan", "NaN", "NaT", "<NA>", "null", "NULL"}
MISSING_TEXTS |= {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"}
REMEDIES = {
    "question_too_short": "lower clean.min_question_words",
    "question_too_long": "raise clean.max_question_words",
    "answer_too_short": "lower clean.min_answer_words",
    "answer_too_long": "raise clean.max_answer_words",
    "personal_data": "set clean.personal_data to mask",
    "unresolvable_encoding": "check clean.encoding",
}
# Chinese, Japanese, Thai, Lao, Burmese and Khmer put no spaces between words.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


class FilteredCard(NamedTuple):
    """The cleaned texts of a card, or why it is dropped. Duplicates are found later."""

    question: str = ""
    answer: str = ""
    reason: str | None = None
    answer_words: int = 0
    personal: tuple[str, ...] = ()  # the kind of each find of personal data
    history: tuple[str, ...] = ()  # the messages before the question


def filter_cards(cards: Sequence[Texts], clean: Clean) -> tuple[list[FilteredCard], Counter[str]]:
    """Returns each card, cleaned or with the reason to drop it, and the cells changed per rule."""
    rules = {name: rule for name, rule in RULES.items() if getattr(clean.rules, name)}
    fixed: Counter[str] = Counter()
    return [_judge(texts, clean, rules, fixed) for texts in cards], fixed


def remedy_for(dropped: Mapping[str, int]) -> str:
    """Returns what to do about the most common reason."""
    most = max(dropped, key=lambda reason: dropped[reason])
    return REMEDIES.get(most, "check clean.reader and the limits in section clean")


def _judge(
    cells: Texts, clean: Clean, rules: Mapping[str, Rule], fixed: Counter[str]
) -> FilteredCard:
    known = [cell for cell in cells if cell is not None]
    if len(known) < len(cells):
        return FilteredCard(reason="not_text")
    if any(cell.strip() in MISSING_TEXTS for cell in known[:2]):
        return FilteredCard(reason=MISSING_VALUE)
    texts: list[str] = []
    personal: list[str] = []
    for cell in known:
        text, changed = clean_text(cell, rules)
        fixed.update(changed)
        if text is None or unreadable_share(text) > clean.max_unreadable_share:
            return FilteredCard(reason="unresolvable_encoding")
        if clean.personal_data != "ignore":
            masked, kinds = mask_personal_data(text)
            personal += kinds
            text = masked if clean.personal_data == "mask" else text
        texts.append(text)
    question, answer, *history = texts
    words = count_words(answer)
    reason = _reason_to_drop(question, answer, words, clean)
    if reason is None and personal and clean.personal_data == "drop":
        reason = "personal_data"
    return FilteredCard(question, answer, reason, words, tuple(personal), tuple(history))


def _reason_to_drop(question: str, answer: str, answer_words: int, clean: Clean) -> str | None:
    if not question or question.isspace():
        return "empty_question"
    if not answer or answer.isspace():
        return "empty_answer"
    if question.casefold() == answer.casefold():
        return "answer_equals_question"
    question_words = count_words(question)
    if question_words < clean.min_question_words:
        return "question_too_short"
    if question_words > clean.max_question_words:
        return "question_too_long"
    if answer_words < clean.min_answer_words:
        return "answer_too_short"
    if answer_words > clean.max_answer_words:
        return "answer_too_long"
    return None


def count_words(text: str) -> int:
    """Counts words; in scripts without spaces, each character counts as one word."""
    return len((text if text.isascii() else UNSPACED.sub(r" \g<0> ", text)).split())
