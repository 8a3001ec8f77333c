"""What the guard learns from vectors and lists."""

import numpy as np

from medtune.guard_training import MAX_CARDS, Examples, fit


def test_cards_are_few_and_evenly_spaced() -> None:
    cards = [f"card {n}" for n in range(10 * MAX_CARDS + 1)]
    taken = [q for q in Examples.read(cards, 1).medical if q.startswith("card ")]
    assert len(taken) <= MAX_CARDS
    assert taken[:2] == ["card 0", "card 11"]
    assert "card 0" not in Examples.read(cards, 1).general


def points(centre: tuple[float, float], n: int) -> np.ndarray:
    return np.random.default_rng(n).normal(centre, 1, (n, 2))


def test_both_sides_weigh_the_same_whatever_their_numbers() -> None:
    few, many = points((2, 0), 50), points((-2, 0), 1000)
    model = fit(few, many, np.empty((0, 2)), regularization=0.1)
    assert abs(model.scores(np.array([[0.0, 0.0]]))[0]) < 1
    assert (model.scores(few) > 0).mean() > 0.9 and (model.scores(many) < 0).mean() > 0.9


def test_others_count_for_no() -> None:
    yes, no, others = points((2, 0), 100), points((-2, 0), 100), points((2, 6), 500)
    without = fit(yes, no, np.empty((0, 2)), regularization=0.1)
    with_others = fit(yes, no, others, regularization=0.1)
    assert (without.scores(others) > 0).mean() > 0.9
    assert (with_others.scores(others) < 0).mean() > 0.9
    assert (with_others.scores(yes) > 0).mean() > 0.9


def test_the_same_vectors_give_the_same_weights() -> None:
    sets = points((1, 0), 80), points((-1, 0), 90), points((0, 3), 70)
    assert fit(*sets, regularization=0.5) == fit(*sets, regularization=0.5)
