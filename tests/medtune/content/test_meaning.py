import pytest

from medtune.content.meaning import similarities

pytestmark = pytest.mark.slow  # the encoder takes a second to load

REFERENCE = "A disease of the kidneys."


def test_the_same_meaning_is_nearer_than_another() -> None:
    near, far = similarities(["A kidney disorder.", "The capital of France."], [REFERENCE] * 2)
    assert 0 <= far < 0.4 < 0.7 < near < 1


def test_case_and_spaces_have_no_meaning() -> None:
    assert similarities([REFERENCE, REFERENCE.upper() + " \n"], [REFERENCE] * 2) == [1, 1]


def test_an_answer_without_words_means_nothing() -> None:
    assert similarities(["", " ", "…!"], [REFERENCE] * 3) == [0, 0, 0]


def test_other_answers_do_not_change_a_similarity() -> None:
    answers = ["A kidney disorder.", "Gout", "Painful swelling of one joint"]
    together = similarities(answers, [REFERENCE] * 3)
    assert together == [similarities([answer], [REFERENCE])[0] for answer in answers]
