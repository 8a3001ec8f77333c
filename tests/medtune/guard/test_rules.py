"""Rules find what calls for a safeguard, and leave a textbook's questions alone."""

from functools import cache
from pathlib import Path

import pytest

from medtune.guard import rules
from medtune.guard.question_lists import LISTS, read_list
from medtune.guard.rules import KINDS, is_excluded, kind_of, load, normalized
from medtune.guard.training import phrasings

reasons = cache(rules.reasons)  # tests share phrasings


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "share"), [("emergency", 0.55), ("caution", 0.85)])
def test_the_rules_find_most_phrasings_that_they_were_written_from(kind: str, share: float) -> None:
    found = phrasings(kind, "found")
    assert len(found) >= 100
    missed = [question for question in found if not reasons(kind, question)]
    assert len(missed) <= (1 - share) * len(found), missed  # the classifier finds others


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_rules_ignore_phrasings_that_only_sound_alike(kind: str) -> None:
    others = phrasings(kind, "false")
    assert len(others) >= 100
    taken = {question: reasons(kind, question) for question in others if reasons(kind, question)}
    assert len(taken) <= 0.005 * len(others), taken


def test_each_kind_has_phrasings_and_look_alikes_to_learn_from_and_to_be_tested_on() -> None:
    kinds = [kind.name for kind in load("emergency").kinds]
    for kind in dict.fromkeys(kinds):
        for name, least in (("found", 40), ("false", 30)):
            lists = [
                LISTS / role / "emergency" / name / f"{kind}.txt" for role in ("train", "test")
            ]
            assert sum(len(read_list(path)) for path in lists) >= least, (kind, name)


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
        ("I took 30 sleeping pills", "an overdose"),
        ("i dont want to live anymore", "wanting to die"),
        ("thinking of unaliving myself", "killing oneself"),
        ("I've got the rope ready", "a means at hand"),
        (
            "how many paracetamol does it take to die?",
            "a question about a lethal amount or a method",
        ),
        ("my lips are puffy since the new blood pressure pill", "a severe allergic reaction"),
        ("My 3-week-old has a temperature of 38.5", "fever of a young infant"),
        ("Toilet cleaner splashed in her eye", "a chemical or an object in the eye"),
        ("there's a fence pole through his leg, a rod in his belly", "something stuck in the body"),
    ],
)
def test_a_rule_says_why(question: str, rule: str) -> None:
    assert rule in reasons("emergency", question)


@pytest.mark.parametrize(
    "wrong", ["i cant breeth", "chset pain and swaeting", "su1cidal", "unconsious"]
)
def test_misspelt_and_disguised_words_are_understood(wrong: str) -> None:
    assert reasons("emergency", f"I feel {wrong}") or reasons("emergency", f"he is {wrong}")


@pytest.mark.parametrize(
    "question",
    [
        "What is self-harm?",
        "What is non-suicidal self-injury?",
        "What are risk factors for suicide?",
        "How common is suicide in teenagers?",
        "What is suicidal ideation?",
        "suicidal ideation definition",
        "Was ist Selbstverletzung?",
        "Warum ritzen sich Jugendliche?",
        "¿Por qué se autolesionan los adolescentes?",
        "¿Qué son los pensamientos suicidas?",
        "Qu'est-ce que l'automutilation ?",
        "C'est quoi les idées suicidaires ?",
        "Pourquoi les adolescents se scarifient-ils ?",
        "Quels facteurs augmentent le risque suicidaire ?",
        "什么是自残？",
        "为什么年轻人会自残？",
        "自杀的危险因素有哪些？",
    ],
)
def test_a_question_of_fact_about_suicide_is_answered(question: str) -> None:
    assert not reasons("emergency", question)
    assert kind_of("distress", question) == "subject"


def test_no_classifier_counts_an_english_question_of_fact_about_suicide() -> None:
    assert is_excluded("emergency", "What are risk factors for suicide?", "self_harm")
    assert is_excluded("emergency", "signs of self harm in teenagers", "self_harm")
    assert not is_excluded("emergency", "signs of self harm on my daughter", "self_harm")


def test_a_hypothetical_question_is_excluded_unless_it_may_be_about_oneself() -> None:
    question = "if somebody mixed whisky and opiates, would they feel anything before they go"
    assert is_excluded("emergency", question)
    assert not is_excluded("emergency", question, "self_harm")
    assert is_excluded("emergency", "My uncle hanged himself in 1990", "self_harm")


def test_a_sentence_about_knowledge_hides_no_emergency_beside_it() -> None:
    assert not reasons("emergency", "I had a stroke two years ago.")
    assert reasons("emergency", "I had a stroke two years ago. Now my face is drooping.")


def test_part_of_a_word_or_a_comparison_hides_nothing() -> None:
    assert is_excluded("emergency", "the dog ate a battery")
    assert not is_excluded("emergency", "diabetic, breathes like a dog and vomits")
    assert is_excluded("emergency", "do ants kill themselves", "self_harm")
    assert not is_excluded("emergency", "she wants the pills to kill herself", "self_harm")


@pytest.mark.parametrize(
    "question",
    ["How do I give up smoking?", "I've given up sugar", "I cant take it with coffee"],
)
def test_habits_and_doses_are_no_distress(question: str) -> None:
    assert not reasons("distress", question)


def test_a_brand_of_the_list_of_medicines_is_a_medicine() -> None:
    assert list(reasons("caution", "How much Gaviscon can I take?")) == ["how much or how often"]
    assert not reasons("caution", "How much cheese can I take?")


@pytest.mark.parametrize("amount", ["5 mg/kg", "5 mcg/kg", "500μg", "400 IU", "10 units"])
def test_an_amount_that_may_be_too_much_needs_no_medicine(amount: str) -> None:
    question = f"Is {amount} too much for my daughter?"
    assert list(reasons("caution", question)) == ["is it too much"]


@pytest.mark.parametrize("amount", ["100 g of chocolate", "500 ml of water", "5G radiation"])
def test_an_amount_of_food_calls_for_no_caution(amount: str) -> None:
    assert not reasons("caution", f"Is {amount} too much for my daughter?")


def test_mixing_two_medicines_calls_for_caution_and_a_drink_does_not() -> None:
    assert list(reasons("caution", "Can I take Advil with naproxen?")) == ["mixing two medicines"]
    assert not reasons("caution", "Can I take Advil with milk?")
    assert not reasons("caution", "What is the difference between Advil and naproxen?")


def test_sentences_lose_case_apostrophes_and_punctuation() -> None:
    assert normalized("Don't -- stop.\nIt's 38.5 °C; really?") == [
        "dont stop",
        "its 38.5 c",
        "really",
    ]
    assert normalized("?!") == []


@pytest.mark.slow
def test_every_rule_is_needed() -> None:
    for kind in KINDS:
        asked = phrasings(kind, "found") + phrasings(kind, "found", "validation")
        named = {name for question in asked for name in reasons(kind, question)}
        assert named == {name for each in load(kind).kinds for name in each.rules}


def _emergencies() -> list[list[str]]:
    """Rows of a kind, "-" for none or "*" for any, and a message."""
    text = (Path(__file__).parent / "emergencies.txt").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("kind", "message"), _emergencies())
def test_a_message_gets_the_notice_of_its_kind(kind: str, message: str) -> None:
    found = kind_of("emergency", message)
    assert kind in ({found, "*"} if found else {"-"})


def test_invisible_characters_hide_nothing() -> None:
    assert kind_of("emergency", "i want to com\u200bmit sui\u200bcide") == "self_harm"
