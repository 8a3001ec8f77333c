from app.gradio_page.quiz_round import RETURNS, QuizRound

CARDS = [(f"question {n}", f"answer {n}") for n in range(20)]


def test_a_missed_card_returns_after_some_others_and_a_known_one_does_not() -> None:
    quiz = QuizRound(CARDS, seed=1)
    known = quiz.card
    quiz.rate("knew")
    missed = quiz.card
    quiz.rate("missed")
    seen = []
    for _ in range(RETURNS["missed"]):
        seen.append(quiz.card)
        quiz.rate("knew")
    assert missed not in seen and quiz.card == missed
    quiz.rate("knew")
    while quiz.card:
        assert quiz.card not in (known, missed)
        quiz.rate("knew")
    assert quiz.progress == "21 cards rated: 20 known, 0 partly known, 1 not known."


def test_the_order_is_random_and_holds_every_card() -> None:
    one, other = QuizRound(CARDS, seed=1), QuizRound(CARDS, seed=2)
    assert sorted(one.queue) == sorted(CARDS) and one.queue != other.queue != CARDS
