"""The guard's assessments, its file and its encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medtune.content.encoder import DIMENSIONS
from medtune.guard.classifier import (
    Assessment,
    Guard,
    Kernel,
    Kinds,
    encoded_questions,
)
from medtune.runtime.errors import InputError


def constant(score: float) -> Kernel:
    return Kernel.pack(np.ones((1, DIMENSIONS)), np.zeros(1), bias=score, gamma=1.0)


NEVER, ALWAYS = constant(-1.0), constant(1.0)
HEART = Kinds.pack(["heart", "stroke"], np.zeros((2, DIMENSIONS)), np.array([1.0, 0.0]))


def guard(scope: Kernel, emergency: Kernel, caution: Kernel) -> Guard:
    return Guard(scope, emergency, caution, HEART)


@pytest.mark.slow
def test_a_question_outside_medicine_gets_no_safeguard() -> None:
    assessment = guard(NEVER, NEVER, NEVER).check("Who wrote Hamlet?")
    assert (assessment.medical, assessment.emergency, assessment.caution) == (False, None, False)


@pytest.mark.slow
def test_a_possible_emergency_is_never_outside_the_scope() -> None:
    assessment = guard(NEVER, NEVER, NEVER).check("I want to kill myself")
    assert assessment.medical and assessment.emergency == "self_harm" and assessment.distress
    assert not assessment.caution


def test_a_question_of_fact_about_suicide_gets_support_and_is_no_distress() -> None:
    never = guard(NEVER, NEVER, NEVER)
    assessment = never.check("What are risk factors for suicide?")
    assert assessment.medical and assessment.support
    assert not assessment.emergency and not assessment.distress
    after = never.check("Who wrote Hamlet?", ["What are risk factors for suicide?"])
    assert not after.support and not after.distress


def test_a_classifier_finds_what_no_rule_does() -> None:
    assessment = guard(ALWAYS, NEVER, ALWAYS).check("What is gout?")
    assert assessment.medical and not assessment.emergency and assessment.caution
    found = guard(NEVER, ALWAYS, NEVER).check("What is gout?")
    assert found.medical and found.emergency == "heart"


def test_a_question_about_self_harm_may_score_lower() -> None:
    low = constant(-0.1)
    weights, biases = np.zeros((2, DIMENSIONS)), np.array([1.0, 0.0])
    for first, found in (("self_harm", True), ("heart", False)):
        kinds = Kinds.pack([first, "stroke"], weights, biases)
        assessment = Guard(NEVER, low, NEVER, kinds).check("What is gout?")
        assert (assessment.emergency == first) is found


def test_a_question_that_is_hardly_about_self_harm_may_not() -> None:
    kinds = Kinds.pack(["self_harm", "stroke"], np.zeros((2, DIMENSIONS)), np.array([0.1, 0.0]))
    assert not Guard(NEVER, constant(-0.1), NEVER, kinds).check("What is gout?").emergency


def test_a_question_about_a_dose_must_score_higher() -> None:
    for score, found in ((0.2, None), (0.4, "heart")):
        asked = guard(NEVER, constant(score), NEVER).check("Can I stop my statin?")
        assert asked.emergency == found and asked.caution


def test_a_case_of_an_examination_is_no_emergency_unless_the_classifier_is_certain() -> None:
    case = "A 58-year-old man presents with crushing chest pain. What is the most likely diagnosis?"
    for score, found in ((0.5, False), (0.9, True)):
        likely = guard(ALWAYS, constant(score), NEVER)
        assert bool(likely.check(case).emergency) == found
        assert likely.check("What is gout?").emergency


def test_the_threshold_itself_is_inside() -> None:
    vectors = np.zeros((1, DIMENSIONS))
    at = guard(replace(constant(0.5), threshold=0.5), NEVER, NEVER)
    above = guard(replace(constant(0.5), threshold=0.6), NEVER, NEVER)
    assert at.medical(["a"], vectors)[0] and not above.medical(["a"], vectors)[0]


def test_a_guard_is_what_was_saved(tmp_path: Path) -> None:
    support = np.random.default_rng(0).normal(0, 0.04, (3, DIMENSIONS))
    scope = Kernel.pack(support, np.array([1, -2, 0.5]), bias=0.1, gamma=0.7)
    saved = guard(replace(scope, threshold=-2.0), NEVER, ALWAYS)
    saved.save(tmp_path / "guard.json")
    assert Guard.load(tmp_path / "guard.json") == saved
    with pytest.raises(InputError, match="dvc repro guard"):
        Guard.load(tmp_path / "none.json")
    (tmp_path / "old.json").write_text("{}")
    with pytest.raises(InputError, match="older version: run dvc repro guard"):
        Guard.load(tmp_path / "old.json")


def test_a_score_is_a_sum_over_rounded_support_vectors() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(9, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    support, asked = vectors[:4], vectors[4:]
    weights = np.array([3.0, -1.0, -2.5, 0.7])
    model = Kernel.pack(support, weights, bias=0.3, gamma=0.7)
    distances = ((asked[:, None] - support) ** 2).sum(axis=2)
    expected = np.exp(-0.7 * distances) @ weights + 0.3
    np.testing.assert_allclose(model.scores(asked), expected, atol=0.005)


@pytest.mark.slow
@pytest.mark.parametrize("question", ["", " ", "🙂", "\x00", "a" * 100_000, "gout\n" * 9_999])
def test_any_text_is_a_question(question: str) -> None:
    assert guard(ALWAYS, NEVER, NEVER).check(question).medical
    np.testing.assert_array_equal(
        encoded_questions([question]), encoded_questions([question + " " * 9])
    )
    assert np.isfinite(encoded_questions([question])).all()


def test_after_distress_no_question_of_the_conversation_is_outside_medicine() -> None:
    never = guard(NEVER, NEVER, NEVER)
    earlier = ["I feel really low lately", "Who wrote Hamlet?"]
    assessment = never.check("What is the capital of France?", earlier)
    assert assessment.medical and assessment.distress and not assessment.emergency
    assert not never.check("What is the capital of France?", earlier[1:]).medical


def test_a_plan_after_distress_is_an_emergency() -> None:
    assessment = guard(NEVER, NEVER, NEVER).check("I have a plan for tonight", ["I feel so low"])
    assert assessment.emergency == "self_harm" and assessment.medical


def test_an_earlier_question_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    never = guard(NEVER, NEVER, NEVER)
    monkeypatch.setattr(
        Guard, "_alone", lambda self, asked: judged.append(asked) or Assessment(True)
    )
    never.check("a", ["b", "c"])
    never.check("d", ["b", "c", "a"])
    assert judged == ["a", "b", "c", "d"]


def test_a_kind_is_the_one_with_the_highest_score() -> None:
    weights = np.eye(2, DIMENSIONS)
    kinds = Kinds.pack(["heart", "stroke"], weights, np.array([0.0, 0.1]))
    assert kinds.likeliest(weights[0])[0] == "heart"
    assert kinds.likeliest(weights[1])[0] == "stroke"
    name, probability = kinds.likeliest(np.zeros(DIMENSIONS))
    assert name == "stroke" and probability == pytest.approx(1 / (1 + np.exp(-0.1)), abs=1e-3)
