"""Questions of the usual wordings are taken apart into kind and topic."""

import pytest

from medtune.cards.question_parsing import fold_topic, parse_question

QUESTIONS = [
    # MedQuAD's wordings
    ("What is (are) Lymphocytic Choriomeningitis (LCM) ?", "information"),
    ("Who is at risk for Lymphocytic Choriomeningitis (LCM)? ?", "susceptibility"),
    ("What are the symptoms of Lymphocytic Choriomeningitis (LCM) ?", "symptoms"),
    ("How to diagnose Lymphocytic Choriomeningitis (LCM) ?", "exams and tests"),
    ("What are the treatments for Lymphocytic Choriomeningitis (LCM) ?", "treatment"),
    ("How to prevent Lymphocytic Choriomeningitis (LCM) ?", "prevention"),
    ("What causes Lymphocytic Choriomeningitis (LCM) ?", "causes"),
    ("What are the complications of Lymphocytic Choriomeningitis (LCM) ?", "complications"),
    ("What is the outlook for Lymphocytic Choriomeningitis (LCM) ?", "outlook"),
    ("How many people are affected by Lymphocytic Choriomeningitis (LCM) ?", "frequency"),
    (
        "What are the genetic changes related to Lymphocytic Choriomeningitis (LCM) ?",
        "genetic changes",
    ),
    ("Is Lymphocytic Choriomeningitis (LCM) inherited ?", "inheritance"),
    (
        "what research (or clinical trials) is being done for lymphocytic choriomeningitis (LCM) ?",
        "research",
    ),
    ("What to do for Lymphocytic Choriomeningitis (LCM) ?", "considerations"),
    ("What are the stages of Lymphocytic Choriomeningitis (LCM) ?", "stages"),
    (
        "Where to find support for people with Lymphocytic Choriomeningitis (LCM) ?",
        "support groups",
    ),
    ("Do you have information about Lymphocytic Choriomeningitis (LCM)", "information"),
    # WikiDoc's wordings in Medical Meadow
    ("What are symptoms of lymphocytic choriomeningitis (LCM)?", "symptoms"),
    ("What are the causes of Lymphocytic choriomeningitis (LCM) ?", "causes"),
    ("Who is at highest risk for lymphocytic choriomeningitis (LCM) ?", "susceptibility"),
    (
        "When to seek urgent medical care when I have Lymphocytic choriomeningitis %28LCM%29 ?",
        "urgent care",
    ),
    (
        "What to expect if I have Lymphocytic choriomeningitis (LCM)  (Outlook/Prognosis)?",
        "outlook",
    ),
    ("How to know you have a lymphocytic choriomeningitis (LCM) (Diagnosis)?", "exams and tests"),
    ("Where to find Medical Care for Lymphocytic  choriomeningitis (LCM)?", "procedure"),
]


@pytest.mark.parametrize(("question", "kind"), QUESTIONS)
def test_all_wordings_about_one_disease_share_its_topic(question, kind):
    assert parse_question(question) == (kind, "lymphocytic choriomeningitis (lcm)")


@pytest.mark.parametrize(
    "question",
    ["", "When may I resume my regular activities?", "What is the dose?", "Define fever"],
)
def test_a_question_of_another_wording_has_no_topic(question):
    assert parse_question(question) == ("", "")


def test_a_topic_is_folded_to_one_spelling():
    spellings = [
        "Paget’s  disease",
        "the Paget's disease",
        "A paget's disease (Patient information)",
    ]
    assert {fold_topic(spelling) for spelling in spellings} == {"paget's disease"}
