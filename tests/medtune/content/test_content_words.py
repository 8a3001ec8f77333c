import pytest

from medtune.content.content_words import FRAME_SHARE, MIN_FRAME_CARDS, content_f1, frames, stems


def test_neither_stop_words_nor_words_of_the_question_or_the_frame_count() -> None:
    question, frame = "What is gout?", frozenset(stems("characterized disease"))
    reference = "Gout is a disease characterized by painful swelling of the joints."
    # Left of the reference: painful, swelling, joints. Left of the answer: swollen, painful, feet.
    answer = "A disease that is characterized by swollen and painful feet."
    assert content_f1(answer, reference, question, frame) == pytest.approx(1 / 3)
    assert content_f1("Gout is a disease characterized by gout.", reference, question, frame) == 0


def test_words_count_as_often_as_they_occur() -> None:
    assert content_f1("fever, fever, fever and a rash", "fever and a cough", "") == 2 * 1 / (4 + 2)


def test_stems_of_words_in_any_script_are_compared() -> None:
    assert content_f1("Les fièvres", "fièvre", "") == pytest.approx(2 / 3)
    assert content_f1("Боль в суставах", "боль", "") == pytest.approx(2 / 4)
    assert content_f1("रोग पुराना", "पुराना", "") == pytest.approx(2 / 3)
    assert content_f1("慢性病", "慢性病变", "") == pytest.approx(6 / 7)


def test_a_negation_is_content() -> None:
    assert content_f1("It is painful.", "It isn't painful.", "") == pytest.approx(2 / 3)


def test_a_card_whose_reference_has_no_content_words_has_no_score() -> None:
    assert content_f1("Gout is a disease.", "It is gout.", "What is gout?") is None
    assert content_f1("", "painful joints", "What is gout?") == 0


def cards(answers: list[str], kind: str = "definition") -> list[tuple[str, str, str]]:
    return [(kind, f"What is syndrome {n}?", answer) for n, answer in enumerate(answers)]


def test_the_frame_is_what_enough_answers_of_a_kind_share() -> None:
    enough = round(FRAME_SHARE * 50)
    answers = [f"Word{n} rare" for n in range(enough)] + [f"Word{n}" for n in range(enough, 50)]
    answers[-1] += " seldom"
    found = frames([*cards(answers), *cards(["Other words"] * 40, "onset")])
    assert found == {"definition": {"rare"}, "onset": {"word"}}
    answers[0] = "Word0"
    assert frames(cards(answers))["definition"] == frozenset()


def test_a_word_that_answers_take_from_their_questions_is_in_no_frame() -> None:
    assert frames(cards(["A syndrome of bones."] * 40))["definition"] == {"bone"}


def test_a_kind_with_few_training_cards_has_no_frame() -> None:
    assert frames(cards(["A disease."] * (MIN_FRAME_CARDS - 1)))["definition"] == frozenset()
    assert frames(cards(["A disease."] * MIN_FRAME_CARDS))["definition"] == {"diseas"}
