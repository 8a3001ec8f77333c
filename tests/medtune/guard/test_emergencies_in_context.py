"""The last question is judged with the questions before it."""

import pytest

from medtune.guard.emergencies_in_context import kind_in_context
from medtune.guard.rules import reasons


@pytest.mark.parametrize(
    "question",
    [
        "I have a plan for tonight",
        "I've got the rope ready",
        "how many of my pills do I need",
        "goodbye",
        "Ich habe einen Plan",
        "今晚",
        "我有一个计划",
        "I took all my pills",
        "I've decided to do it",
    ],
)
def test_a_plan_a_means_or_a_farewell_after_distress_is_about_suicide(question: str) -> None:
    earlier = ["I feel really low lately"]
    assert "distress" in reasons("distress", earlier[0]).values()
    assert kind_in_context(question, earlier, after_distress=True) == "self_harm"


@pytest.mark.parametrize(
    "question",
    [
        "What is gout?",
        "How do I sleep better?",
        "",
        "thanks",
        "How long does it take for sertraline to work?",
        "I took my temperature",
        "I've decided to see a doctor",
        "Does it hurt to have a blood test?",
        "What are my chances of dying from flu?",
        "I have dead skin on my feet",
        "帮我做一个睡眠计划",
    ],
)
def test_another_question_after_distress_is_no_emergency(question: str) -> None:
    assert kind_in_context(question, ["I feel really low lately"], after_distress=True) is None


@pytest.mark.parametrize(
    ("earlier", "question", "kind"),
    [
        (["My son is 5 weeks old"], "he has a temperature of 38.6", "child"),
        (["My chest hurts"], "and now my left arm is numb", "heart"),
        (["I'm 32 weeks pregnant"], "I have a headache and see flashing lights", "pregnancy"),
        (["I'm a type 1 diabetic"], "I keep vomiting and my breath is fruity", "diabetes"),
    ],
)
def test_signs_in_two_questions_make_one_emergency(
    earlier: list[str], question: str, kind: str
) -> None:
    assert not reasons("emergency", earlier[0])
    assert kind_in_context(question, earlier, after_distress=False) == kind


def test_an_emergency_that_was_told_before_is_not_told_again() -> None:
    earlier = ["My chest hurts and my left arm is numb"]
    again = "my chest still hurts and my left arm is numb"
    assert reasons("emergency", again)
    assert kind_in_context(again, earlier, after_distress=False) is None
    assert kind_in_context("I like my doctor", earlier, after_distress=False) is None
