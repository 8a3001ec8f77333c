"""A card is kept with its cleaned texts, or dropped with the first reason that holds."""

import pytest

from medtune.cards.filtering import REASONS, FilteredCard, count_words, filter_cards
from medtune.config.loading import load_params

CLEAN = load_params("clean").model_copy(
    update={
        "min_question_words": 2,
        "max_question_words": 5,
        "min_answer_words": 2,
        "max_answer_words": 6,
        "max_unreadable_share": 0.1,
    }
)
DROPS = [
    (None, "Some answer.", "not_text"),
    ("What is it?", None, "not_text"),
    ("", "Some answer.", "empty_question"),
    (" \u200b\t", "Some answer.", "empty_question"),
    ("What is it?", "<p> </p>", "empty_answer"),
    ("What is that?", "what is THAT? ", "answer_equals_question"),
    ("Gout?", "A painful disease.", "question_too_short"),
    ("What is it that you have?", "A painful disease.", "question_too_long"),
    ("What is it?", "Gout.", "answer_too_short"),
    ("What is it?", "It is a very painful joint disease.", "answer_too_long"),
    ("What is it?", "5 \ufffdg \ufffdg", "unresolvable_encoding"),
    ("Wha\ufffd is \ufffd?", "A disease.", "unresolvable_encoding"),
    ("What is it?", "Ð\ufffdÐµ or so", "unresolvable_encoding"),
    ("What is it?", "<b" * 50 + ">" * 50, "unresolvable_encoding"),
]


def filtered(question: str | None, answer: str | None, **changes: object) -> FilteredCard:
    ((found,), _) = filter_cards([(question, answer)], CLEAN.model_copy(update=changes))
    return found


@pytest.mark.parametrize(("question", "answer", "reason"), DROPS)
def test_a_card_is_dropped_with_its_reason(question, answer, reason):
    assert filtered(question, answer).reason == reason
    assert reason in REASONS


def test_the_limits_themselves_are_kept():
    assert filtered("What is?", "A disease.") == ("What is?", "A disease.", None, 2, (), ())
    assert filtered("What is it then now?", "It is a painful joint disease.").reason is None


def test_a_lost_character_is_kept_where_it_is_a_small_share():
    answer = "Give him 5 \ufffdg of it."
    assert filtered("What now?", answer) == ("What now?", answer, None, 6, (), ())
    assert filtered("What now?", answer, max_unreadable_share=0.0).reason == "unresolvable_encoding"


def test_rules_count_cells_and_can_be_switched_off():
    cards = [("What is <b>it</b>?", "A  <i>painful</i> disease."), ("What is\tit?", "A  disease.")]
    cards_out, fixed = filter_cards(cards, CLEAN)
    assert [found.question for found in cards_out] == ["What is it?", "What is it?"]
    assert fixed == {"html": 2, "whitespace": 3}
    rules = CLEAN.rules.model_copy(update={"html": False})
    cards_out, fixed = filter_cards(cards, CLEAN.model_copy(update={"rules": rules}))
    assert cards_out[0].answer == "A <i>painful</i> disease."
    assert fixed == {"whitespace": 3}


def test_blanks_are_empty_with_the_whitespace_rule_off():
    rules = CLEAN.rules.model_copy(update={"whitespace": False})
    assert filtered("What is it?", " \n ", rules=rules).reason == "empty_answer"


@pytest.mark.parametrize(
    ("personal_data", "answer", "reason", "kinds"),
    [
        ("ignore", "Call 301-496-5248.", None, ()),
        ("count", "Call 301-496-5248.", None, ("email", "phone")),
        ("mask", "Call [phone].", None, ("email", "phone")),
        ("drop", "Call 301-496-5248.", "personal_data", ("email", "phone")),
    ],
)
def test_personal_data_is_ignored_counted_masked_or_dropped(personal_data, answer, reason, kinds):
    found = filtered("Who is a@b.org?", "Call 301-496-5248.", personal_data=personal_data)
    question = "Who is [email]?" if personal_data == "mask" else "Who is a@b.org?"
    assert found == (question, answer, reason, 2, kinds, ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a painful joint-disease", 3),
        ("Ménière's disease", 2),
        ("痛風は 関節炎です", 8),
        ("โรคเกาต์", 8),
        ("gout 痛風", 3),
        ("", 0),
    ],
)
def test_words_are_counted_in_scripts_without_spaces(text, words):
    assert count_words(text) == words
