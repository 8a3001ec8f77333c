"""The verdict: one sentence on what fine-tuning brought beyond answers that need no training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from medtune.comparison.significance import Outcome, holm, outcome
from medtune.scoring.scores import SCORES, Score
from medtune.scoring.system_names import BASE

CONTENT = ("content_f1", "meaning", "facts")  # what an answer says; all other scores see its form


class Verdict(StrEnum):
    BEATS = "beats prompting and retrieval"
    PARTLY = "beats prompting and retrieval in part"
    NO_BETTER = "no better than prompting or retrieval"
    FORM = "learned the form only"
    NO_CHANGE = "no change"
    WORSE = "worse"


@dataclass(frozen=True)
class Evidence:
    """How the fine-tuned model did in one primary score.

    `best` compares it with the best answer that needs no training, `base` with the base model.
    """

    score: str
    title: str
    best: Outcome
    base: Outcome

    @property
    def gained(self) -> bool:
        return "better" in (self.best, self.base)


def verdict(evidence: Sequence[Evidence]) -> Verdict:
    """Returns the verdict on all primary scores; the first rule that applies decides.

    1. worse: one of them is worse than the base model's.
    2. no change: none of them is better than the base model or the best answer without training.
    3. beats prompting and retrieval: each is better than the best answer without training.
    4. learned the form only: none of those that gained sees what an answer says.
    5. beats … in part: at least one is better than the best answer without training.
    6. no better than prompting or retrieval: better than the base model, and no more than that.
    """
    gained = [found for found in evidence if found.gained]
    ahead = [found for found in evidence if found.best == "better"]
    if any(found.base == "worse" for found in evidence):
        return Verdict.WORSE
    if not gained:
        return Verdict.NO_CHANGE
    if len(ahead) == len(evidence):
        return Verdict.BEATS
    if not any(found.score in CONTENT for found in gained):
        return Verdict.FORM
    return Verdict.PARTLY if ahead else Verdict.NO_BETTER


def sentence(evidence: Sequence[Evidence], n: int, groups: int) -> str:
    """Says the verdict in words, with the scores that it rests on and its sample."""
    found = verdict(evidence)
    ahead, behind, unclear = (
        join_with_and([one.title for one in evidence if one.best == best])
        for best in ("better", "worse", "unclear")
    )
    worse = join_with_and([one.title for one in evidence if one.base == "worse"])
    gained = join_with_and([one.title for one in evidence if one.gained])
    others = join_with_and([one.title for one in evidence if not one.gained])
    closer = f"its answers are closer to the references in {gained}"
    return {
        Verdict.BEATS: f"The fine-tuned model beats prompting and retrieval in {ahead}.",
        Verdict.PARTLY: f"The fine-tuned model beats prompting and retrieval in {ahead}"
        + (f", but is worse in {behind}" if behind else "")
        + (f"; not shown in {unclear}" if unclear else "")
        + ".",
        Verdict.NO_BETTER: "The fine-tuned model is better than the base model in "
        f"{gained}, but not better than prompting or retrieval.",
        Verdict.FORM: f"The fine-tuned model learned the form only: {closer}, but "
        + (
            f"{others} did not improve."
            if others
            else "not closer than answers that need no training."
        ),
        Verdict.NO_CHANGE: f"The fine-tuning made no change that {sample(n, groups)} could show"
        + (f"; the best answers without training are ahead in {behind}" if behind else "")
        + ".",
        Verdict.WORSE: f"The fine-tuned model is worse than the base model in {worse}.",
    }[found]


def sample(n: int, groups: int) -> str:
    """Says how much a score rests on, also for the report, the model card and the terminal.

    >>> sample(14, 7), sample(1, 1)
    ('14 test cards in 7 groups', '1 test card in 1 group')
    """
    cards = "card" if n == 1 else "cards"
    return f"{n} test {cards} in {groups} {'group' if groups == 1 else 'groups'}"


def join_with_and(titles: Sequence[str]) -> str:
    """Joins titles as a sentence does: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(titles[:-1]), *titles[-1:]]))


def outcome_in(flat: Mapping[str, Any], key: str, score: Score, confidence: float) -> Outcome:
    """Returns the outcome of the difference that flat metrics have under `key`, uncorrected."""
    low, high, p_value = (flat[f"{key}.{field}"] for field in ("ci_low", "ci_high", "p_value"))
    return outcome(low, high, p_value, score.better, confidence)


def outcome_against(
    systems: Mapping[str, Any], system: str, score: Score, confidence: float
) -> Outcome:
    """Returns the outcome against a system: the verdict's own, corrected one where it has one."""
    for question, rival in (("best", systems.get(f"best.{score.name}")), ("base", BASE)):
        found: Outcome | None = systems.get(f"primary.{score.name}.{question}")
        if system == rival and found is not None:
            return found
    return outcome_in(systems, f"{system}.{score.name}", score, confidence)


def evidence_of(
    systems: Mapping[str, Any], primary: Sequence[str], confidence: float
) -> list[Evidence]:
    """Returns the outcomes of the primary scores that this run has, each corrected for the others.

    `systems` are the flat metrics of compare_systems. Holm's correction is over the scores, apart
    for the two questions that are asked: better than the best system, better than the base model.
    """
    scores = [
        score for score in SCORES if score.name in primary and f"best.{score.name}" in systems
    ]
    rivals = {
        "best": [systems[f"best.{score.name}"] for score in scores],
        "base": [BASE] * len(scores),
    }
    found: dict[str, list[Outcome]] = {}
    for question, names in rivals.items():
        keys = [f"{name}.{score.name}" for name, score in zip(names, scores, strict=True)]
        p_values = holm([systems[f"{key}.p_value"] for key in keys])
        found[question] = [
            outcome(
                systems[f"{key}.ci_low"], systems[f"{key}.ci_high"], p, score.better, confidence
            )
            for key, p, score in zip(keys, p_values, scores, strict=True)
        ]
    return [
        Evidence(score.name, score.title, best=best, base=base)
        for score, best, base in zip(scores, found["best"], found["base"], strict=True)
    ]


def verdict_metrics(
    systems: Mapping[str, Any], primary: Sequence[str], confidence: float
) -> dict[str, str]:
    """Returns "verdict", "verdict.sentence" and "primary.<score>.best" and ".base", its grounds."""
    evidence = evidence_of(systems, primary, confidence)
    flat = {
        "verdict": str(verdict(evidence)),
        "verdict.sentence": sentence(evidence, systems["n"], systems["groups"]),
    }
    for one in evidence:
        flat |= {f"primary.{one.score}.best": one.best, f"primary.{one.score}.base": one.base}
    return flat
