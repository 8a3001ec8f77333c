"""Rules find what calls for a safeguard, and leave a textbook's questions alone."""

import pytest

from medtune.guard.rules import KINDS, load_kinds, message, normalized, reasons
from medtune.guard.training import phrasings


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_find_nearly_all_phrasings_that_they_were_written_from(kind: str) -> None:
    found = phrasings(kind, "found")
    assert len(found) >= 100
    missed = [question for question in found if not reasons(kind, question)]
    assert len(missed) < 0.05 * len(found), missed  # spelling errors, above all


@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_ignore_phrasings_that_only_sound_alike(kind: str) -> None:
    others = phrasings(kind, "false")
    assert len(others) >= 100
    assert {
        question: reasons(kind, question) for question in others if reasons(kind, question)
    } == {}


@pytest.mark.parametrize("kind", KINDS)
def test_no_phrasing_is_both_learned_from_and_tested_on(kind: str) -> None:
    asked = {
        role: {q.casefold() for name in ("found", "false") for q in phrasings(kind, name, role)}
        for role in ("train", "validation", "test")
    }
    assert len(asked["validation"]) >= 200 and len(asked["test"]) >= 100
    assert not asked["train"] & (asked["validation"] | asked["test"])
    assert not asked["validation"] & asked["test"]


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("My chest hurts and my left arm is numb!", "pain in the chest with another sign"),
        ("HIS SPEECH IS SLURRED", "face, speech, sight or strength lost"),
        ("I can’t breathe", "no breath"),
        ("I took 30 sleeping pills", "an overdose or poison"),
        ("i dont want to live anymore", "suicide or self-harm"),
        ("My 3-week-old has a temperature of 38.5", "fever of a young infant"),
        ("Toilet cleaner splashed in her eye", "a chemical in the eye"),
        ("there's a fence pole through his leg, a rod in his belly", "something stuck in the body"),
    ],
)
def test_a_rule_says_why(question: str, rule: str) -> None:
    assert reasons("emergency", question) == [rule]


def test_a_sentence_about_knowledge_hides_no_emergency_beside_it() -> None:
    assert not reasons("emergency", "I had a stroke two years ago.")
    assert reasons("emergency", "I had a stroke two years ago. Now my face is drooping.")


def test_words_of_study_or_of_the_past_hide_no_thought_of_suicide() -> None:
    for question in (
        "I failed my exam and want to die",
        "He died of cancer, I want to end my life",
    ):
        assert reasons("emergency", question) == ["suicide or self-harm"]


def test_letters_limes_and_dying_phones_are_no_emergency() -> None:
    for question in (
        "help me write a farewell letter to my colleagues",
        "does a lime green coat suit my brown eyes",
        "my phone is dying",
        "I drank too much coffee",
    ):
        assert not reasons("emergency", question), question


def test_a_brand_of_the_list_of_medicines_is_a_medicine() -> None:
    assert reasons("caution", "How much Gaviscon can I take?") == ["how much or how often"]
    assert not reasons("caution", "How much cheese can I take?")


def test_mixing_two_medicines_calls_for_caution_and_a_drink_does_not() -> None:
    assert reasons("caution", "Can I take Advil with naproxen?") == ["mixing two medicines"]
    assert not reasons("caution", "Can I take Advil with milk?")
    assert not reasons("caution", "What is the difference between Advil and naproxen?")


def test_sentences_lose_case_apostrophes_and_punctuation() -> None:
    assert normalized("Don't -- stop.\nIt's 38.5 °C; really?") == [
        "dont stop",
        "its 38.5 c",
        "really",
    ]
    assert normalized("?!") == []


def test_messages_say_what_to_do() -> None:
    assert "local emergency number" in message("emergency")
    assert "doctor or pharmacist" in message("caution")
    assert "\n" not in message("emergency") + message("caution")


def test_every_rule_is_needed() -> None:
    for kind in KINDS:
        named = {name for question in phrasings(kind, "found") for name in reasons(kind, question)}
        assert named == set(load_kinds()[kind].rules)
