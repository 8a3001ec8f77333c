import time

import pytest

from medtune.baselines.asked_name import NameFinder

NAMES = ("gout", "asthma", "Marfan syndrome", "Cowden syndrome", "Lynch syndrome", "malaria")
QUESTIONS = [
    *(f"What is {name}?" for name in NAMES),
    *(f"How is {name} inherited?" for name in NAMES),
    *(f"How is {name} defined?" for name in NAMES),
]


@pytest.fixture(scope="module")
def finder() -> NameFinder:
    return NameFinder(QUESTIONS)


@pytest.mark.parametrize("frame", ["What is {}?", "How is {} inherited?", "How is {} defined?"])
@pytest.mark.parametrize("name", ["Turner syndrome", "migraine", "β-thalassemia", "gout (acute)"])
def test_a_new_name_is_found_between_the_words_that_questions_share(
    finder: NameFinder, frame: str, name: str
) -> None:
    assert finder.find(frame.format(name)) == name


def test_a_question_unlike_any_other_has_no_name(finder: NameFinder) -> None:
    assert finder.find("Can a child with fever go swimming?") is None
    assert finder.find("") is None


def test_upper_case_and_spaces_around_a_name_make_no_difference(finder: NameFinder) -> None:
    assert finder.find("WHAT IS  Turner  Syndrome  ?") == "Turner  Syndrome"


@pytest.mark.parametrize(
    ("frame", "names", "asked"),
    [
        ("什么是{}？", "痛风 哮喘 糖尿病", "疟疾"),
        ("{}คืออะไร", "หอบหืด ไข้หวัด มาลาเรีย", "โรคเกาต์"),
        ("{} क्या है?", "दमा हैजा मधुमेह", "गठिया"),
    ],
)
def test_names_are_found_in_every_script(frame: str, names: str, asked: str) -> None:
    finder = NameFinder([frame.format(name) for name in names.split()])
    assert finder.find(frame.format(asked)) == asked


def test_different_questions_have_no_names() -> None:
    finder = NameFinder(["Why do joints ache?", "Is gout painful?", "Can asthma be cured?"])
    assert finder.find("Is malaria painful?") is None


@pytest.mark.slow
def test_of_many_questions_a_sample_is_compared() -> None:
    questions = [f"What is disease {n}?" for n in range(100_000)]
    start = time.process_time()
    assert NameFinder(questions).find("What is disease X?") == "X"
    assert time.process_time() - start < 2
