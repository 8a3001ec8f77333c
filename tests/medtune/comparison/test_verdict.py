from itertools import product
from typing import Any, get_args

import pytest

from medtune.comparison.significance import Outcome
from medtune.comparison.verdict import (
    Evidence,
    Verdict,
    evidence_of,
    join_with_and,
    outcome_against,
    sentence,
    verdict,
    verdict_metrics,
)
from medtune.scoring.scores import SCORES

OUTCOMES = ("better", "unclear", "worse")
FORM, CONTENT = ("rougeL", "ROUGE-L"), ("content_f1", "content words")


def made(score: tuple[str, str], best: Outcome, base: Outcome) -> Evidence:
    return Evidence(*score, best=best, base=base)


def both(form: tuple[Outcome, Outcome], content: tuple[Outcome, Outcome]) -> list[Evidence]:
    return [made(FORM, *form), made(CONTENT, *content)]


def every_case() -> list[list[Evidence]]:
    pairs = list(product(OUTCOMES, repeat=2))
    return [both(form, content) for form in pairs for content in pairs]


@pytest.mark.parametrize(
    ("form", "content", "expected"),
    [
        (("better", "better"), ("better", "better"), Verdict.BEATS),
        (("better", "better"), ("unclear", "better"), Verdict.PARTLY),
        (("worse", "better"), ("better", "better"), Verdict.PARTLY),
        (("unclear", "better"), ("worse", "better"), Verdict.NO_BETTER),
        (("unclear", "unclear"), ("unclear", "better"), Verdict.NO_BETTER),
        (("better", "better"), ("unclear", "unclear"), Verdict.FORM),
        (("unclear", "better"), ("worse", "unclear"), Verdict.FORM),
        (("unclear", "unclear"), ("unclear", "unclear"), Verdict.NO_CHANGE),
        (("worse", "unclear"), ("worse", "unclear"), Verdict.NO_CHANGE),
        (("better", "better"), ("unclear", "worse"), Verdict.WORSE),
    ],
)
def test_the_verdict_says_no_more_than_the_primary_scores_show(
    form: tuple[Outcome, Outcome], content: tuple[Outcome, Outcome], expected: Verdict
) -> None:
    assert verdict(both(form, content)) == expected


def test_no_case_claims_more_than_its_evidence() -> None:
    seen = set()
    for evidence in every_case():
        found = verdict(evidence)
        seen.add(found)
        form, content = evidence
        assert (found == Verdict.BEATS) == (
            form.best == content.best == "better" and "worse" not in (form.base, content.base)
        )
        assert (found == Verdict.WORSE) == ("worse" in (form.base, content.base))
        if found == Verdict.FORM:
            assert form.gained and not content.gained
        if found == Verdict.NO_CHANGE:
            assert not form.gained and not content.gained
        if found in (Verdict.PARTLY, Verdict.NO_BETTER):
            assert content.gained and (found == Verdict.PARTLY) == (
                "better" in (form.best, content.best)
            )
    assert seen == set(Verdict)


def test_an_improvement_never_makes_the_verdict_worse() -> None:
    order = (
        Verdict.WORSE,
        Verdict.NO_CHANGE,
        Verdict.FORM,
        Verdict.NO_BETTER,
        Verdict.PARTLY,
        Verdict.BEATS,
    )
    rank = {outcome: n for n, outcome in enumerate(reversed(OUTCOMES))}
    for one, other in product(every_case(), repeat=2):
        pairs = list(zip(one, other, strict=True))
        if all(
            rank[getattr(a, key)] <= rank[getattr(b, key)]
            for a, b in pairs
            for key in ("best", "base")
        ):
            assert order.index(verdict(one)) <= order.index(verdict(other)), (one, other)


def test_overlap_alone_can_win_or_be_form_but_nothing_between() -> None:
    alone = {best: verdict([made(FORM, best, "better")]) for best in OUTCOMES}
    assert alone == {
        "better": Verdict.BEATS,
        "unclear": Verdict.FORM,
        "worse": Verdict.FORM,
    }
    assert verdict([]) == Verdict.NO_CHANGE


def test_the_sentence_names_the_scores_it_rests_on() -> None:
    def said(form: tuple[Outcome, Outcome], content: tuple[Outcome, Outcome]) -> str:
        return sentence(both(form, content), n=150, groups=80)

    gain: tuple[Outcome, Outcome] = ("better", "better")
    assert said(gain, gain).endswith("prompting and retrieval in ROUGE-L and content words.")
    assert said(gain, ("unclear", "better")).endswith("in ROUGE-L; not shown in content words.")
    assert said(gain, ("worse", "better")).endswith("in ROUGE-L, but is worse in content words.")
    assert said(gain, ("unclear", "unclear")) == (
        "The fine-tuned model learned the form only: its answers are closer to the references in "
        "ROUGE-L, but content words did not improve."
    )
    assert said(("unclear", "unclear"), ("unclear", "unclear")) == (
        "The fine-tuning made no change that 150 test cards in 80 groups could show."
    )
    assert said(("worse", "unclear"), ("unclear", "unclear")).endswith(
        "could show; the best answers without training are ahead in ROUGE-L."
    )
    assert said(gain, ("unclear", "worse")).endswith("than the base model in content words.")
    for evidence in every_case():
        assert sentence(evidence, 1, 1).count(".") == 1


def test_titles_are_joined_as_in_a_sentence() -> None:
    assert [join_with_and(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def systems(p_values: dict[str, float]) -> dict[str, Any]:
    """Metrics in which everything is better than everything, but for its p-value."""
    flat: dict[str, Any] = {"n": 9, "groups": 8}
    for score in ("rougeL", "content_f1", "bleu"):
        flat[f"best.{score}"] = "fill_in"
        for system in ("base", "fill_in"):
            fields = {"difference": 0.1, "ci_low": 0.05, "ci_high": 0.15}
            fields |= {"p_value": p_values[system]}
            flat |= {f"{system}.{score}.{key}": value for key, value in fields.items()}
    return flat


def test_primary_scores_are_corrected_for_each_other() -> None:
    flat = systems({"base": 0.01, "fill_in": 0.03})
    one, *others = evidence_of(flat, ["bleu"], 0.95)
    assert (one.best, one.base, others) == ("better", "better", [])
    for found in evidence_of(flat, ["rougeL", "content_f1"], 0.95):
        assert (found.best, found.base) == ("unclear", "better")


def test_a_primary_score_that_the_data_does_not_have_is_left_out() -> None:
    found = verdict_metrics(systems({"base": 0.01, "fill_in": 0.01}), ["facts", "rougeL"], 0.95)
    assert found["verdict"] == "beats prompting and retrieval"
    assert found["primary.rougeL.best"] == "better"
    assert not [key for key in found if "facts" in key]


def test_every_outcome_of_a_score_with_a_better_side_is_a_case() -> None:
    assert set(get_args(Outcome)) == {*OUTCOMES, "changed"}


def test_pictures_and_tables_show_the_outcome_that_the_verdict_rests_on() -> None:
    flat = systems({"base": 0.01, "fill_in": 0.03}) | {"echo.rougeL.ci_low": 0.1}
    flat |= {"echo.rougeL.ci_high": 0.2, "echo.rougeL.p_value": 0.03}
    flat |= verdict_metrics(flat, ["rougeL", "content_f1"], 0.95)
    (rouge,) = (score for score in SCORES if score.name == "rougeL")
    found = [outcome_against(flat, name, rouge, 0.95) for name in ("fill_in", "base", "echo")]
    assert found == ["unclear", "better", "better"], "echo is no rival, so it is not corrected"
