"""Cleans a card and decides whether to keep it, or why to drop it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from medtune.cards.cleaning import RULES, Rule, clean_text, unreadable_share
from medtune.cards.personal_data import mask_personal_data
from medtune.cards.records import LEFT_OUT_TERM
from medtune.config.schema import Clean

Texts = tuple[str | None, str | None]  # raw question and answer; None if not text

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


def filter_cards(cards: Sequence[Texts], clean: Clean) -> tuple[list[FilteredCard], Counter[str]]:
    """Returns each card, cleaned or with the reason to drop it, and the cells changed per rule."""
    rules = {name: rule for name, rule in RULES.items() if getattr(clean.rules, name)}
    fixed: Counter[str] = Counter()
    return [_judge(question, answer, clean, rules, fixed) for question, answer in cards], fixed


def _judge(
    question: str | None,
    answer: str | None,
    clean: Clean,
    rules: Mapping[str, Rule],
    fixed: Counter[str],
) -> FilteredCard:
    if question is None or answer is None:
        return FilteredCard(reason="not_text")
    texts: list[str] = []
    personal: list[str] = []
    for cell in (question, answer):
        text, changed = clean_text(cell, rules)
        fixed.update(changed)
        if text is None or unreadable_share(text) > clean.max_unreadable_share:
            return FilteredCard(reason="unresolvable_encoding")
        if clean.personal_data != "ignore":
            masked, kinds = mask_personal_data(text)
            personal += kinds
            text = masked if clean.personal_data == "mask" else text
        texts.append(text)
    words = count_words(texts[1])
    reason = _reason_to_drop(texts[0], texts[1], words, clean)
    if reason is None and personal and clean.personal_data == "drop":
        reason = "personal_data"
    return FilteredCard(texts[0], texts[1], reason, words, tuple(personal))


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
