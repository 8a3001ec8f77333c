"""Training the guard's classifiers on lists of questions and vectors."""

import numpy as np
import pytest

from medtune.content.encoder import DIMENSIONS
from medtune.guard.training import MAX_CARDS, MAX_EXAM, MAX_EXAM_CHARACTERS, Examples, fit

NONE = np.empty((0, DIMENSIONS))


def test_cards_are_few_and_evenly_spaced() -> None:
    cards = [f"card {n}" for n in range(10 * MAX_CARDS + 1)]
    taken = [q for q in Examples.read(cards, [], 1).medical if q.startswith("card ")]
    assert len(taken) <= MAX_CARDS
    assert taken[:2] == ["card 0", "card 11"]
    assert "card 0" not in Examples.read(cards, [], 1).general


def test_the_first_short_exam_questions_are_taken() -> None:
    case = "case " + "x" * MAX_EXAM_CHARACTERS
    exam = [case, *(f"exam {n}" for n in range(2 * MAX_EXAM))]
    taken = [q for q in Examples.read(["card"], exam, 1).medical if q.startswith(("exam", "case"))]
    assert taken == exam[1 : MAX_EXAM + 1]


def points(centre: tuple[float, float], n: int) -> np.ndarray:
    """Unit vectors (n, 512) around one whose first two numbers stand out."""
    vectors = np.random.default_rng(n).normal(0, 0.05, (n, DIMENSIONS))
    vectors[:, :2] += centre
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.slow
def test_both_sides_weigh_the_same_whatever_their_numbers() -> None:
    few, many = points((1, 0), 30), points((-1, 0), 600)
    model = fit(few, many, NONE, regularization=0.1)
    assert abs(model.scores(points((0, 1), 50)).mean()) < 0.5
    assert (model.scores(points((1, 0), 40)) > 0).all()
    assert (model.scores(points((-1, 0), 40)) < 0).all()


def test_others_count_for_no() -> None:
    yes, no, others = points((1, 0), 60), points((-1, 0), 60), points((1, 1), 200)
    without = fit(yes, no, NONE, regularization=0.1)
    with_others = fit(yes, no, others, regularization=0.1)
    assert (without.scores(others) > 0).mean() > 0.9
    assert (with_others.scores(others) < 0).mean() > 0.9
    assert (with_others.scores(yes) > 0).mean() > 0.9


def test_a_score_is_that_of_scikit_learn() -> None:
    from sklearn.svm import SVC

    yes, no = points((1, 0.5), 80), points((-1, 0.5), 90)
    asked = points((0.2, 1), 50)
    model = fit(yes, no, NONE, regularization=0.5)
    reference = SVC(C=2, gamma=model.gamma, class_weight={0: 1, 1: 90 / 80}, tol=0.01)
    reference.fit(np.concatenate([yes, no]), [1] * 80 + [0] * 90)
    np.testing.assert_allclose(model.scores(asked), reference.decision_function(asked), atol=0.01)


def test_the_same_vectors_give_the_same_weights() -> None:
    sets = points((1, 0), 80), points((-1, 0), 90), points((0, 1), 70)
    assert fit(*sets, regularization=0.5) == fit(*sets, regularization=0.5)
