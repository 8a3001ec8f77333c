"""Counts a judge's verdicts on pairs of answers, and how far others agree with them."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medtune.judging.prompt_and_reply import Case, messages, parse_reply, speaks_to_the_judge

FEEDBACK = Path("data/feedback")  # where the chat keeps what people like
OUTCOMES = {"wins": 1, "ties": 0, "losses": -1}


@dataclass(frozen=True)
class Judged:
    """The verdicts in both orders, from the first answer's side: +1, 0, −1, or None for no verdict.

    `reason` says why no judge was asked: "same" answers, or one that is "hostile".
    """

    case: Case
    shown_first: int | None = None
    shown_second: int | None = None
    reason: str = ""

    @property
    def outcome(self) -> int:
        """+1 or −1 if the same answer won in both orders, and 0 otherwise."""
        agree = self.shown_first == self.shown_second
        return self.shown_first if agree and self.shown_first is not None else 0


def judge_pairs(
    cases: Sequence[Case], ask: Callable[[list[list[dict[str, str]]]], Sequence[str]]
) -> list[Judged]:
    """Judges each case in both orders; `ask` returns a reply to each conversation."""
    reasons = [reason(case) for case in cases]
    asked = [case for case, why in zip(cases, reasons, strict=True) if not why]
    shown = [each for case in asked for each in (case, case.swapped())]
    replies = ask([messages(case) for case in shown])
    said = [parse_reply(case, reply) for case, reply in zip(shown, replies, strict=True)]
    found = iter(
        Judged(case, first, None if second is None else -second)
        for case, first, second in zip(asked, said[::2], said[1::2], strict=True)
    )
    return [
        Judged(case, reason=why) if why else next(found)
        for case, why in zip(cases, reasons, strict=True)
    ]


def reason(case: Case) -> str:
    """Returns why a case counts as a tie without asking, or nothing."""
    if case.first.split() == case.second.split():
        return "same"
    return "hostile" if any(map(speaks_to_the_judge, (case.first, case.second))) else ""


def summary(judged: Sequence[Judged]) -> dict[str, float]:
    """Counts outcomes from the first answer's side, and how steady the judge is.

    `consistency` is the share of asked pairs with the same verdict in both orders, and
    `first_share` the share of verdicts other than a tie for the answer that was shown first.
    """
    asked = [each for each in judged if not each.reason]
    said = [(each.shown_first, each.shown_second) for each in asked]
    decided = [first for first, _ in said if first]
    decided += [-second for _, second in said if second]  # the second was shown in its place
    same = sum(a is not None and a == b for a, b in said)
    outcomes = Counter(each.outcome for each in judged)
    return {
        "n": len(judged),
        **{name: outcomes[value] for name, value in OUTCOMES.items()},
        "same_answers": sum(each.reason == "same" for each in judged),
        "hostile_answers": sum(each.reason == "hostile" for each in judged),
        "without_verdict": sum(verdict is None for pair in said for verdict in pair),
        "consistency": same / len(asked) if asked else math.nan,
        "first_share": decided.count(1) / len(decided) if decided else math.nan,
    }


def kappa(first: Sequence[int], second: Sequence[int]) -> float:
    """Returns Cohen's κ (1960) of two raters who say +1, 0 or −1: 1 is full agreement, 0 chance.

    It is NaN without ratings, and if both say the same one thing of everything.
    """
    from sklearn.metrics import cohen_kappa_score

    if not first or len({*first, *second}) < 2:
        return math.nan
    return float(cohen_kappa_score(first, second, labels=list(OUTCOMES.values())))


def preferences(cases: Sequence[Case], folder: Path = FEEDBACK) -> list[int | None]:
    """Returns what people prefer of each pair, by what they liked and disliked in the chat.

    Votes count for the same question and answer, blanks aside; None where nobody voted.
    """
    votes: Counter[tuple[str, str]] = Counter()
    voted: set[tuple[str, str]] = set()
    for name, vote in (("liked", 1), ("disliked", -1)):
        path = folder / f"{name}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in filter(str.strip, lines):
            given = json.loads(line)
            key = _key(given["question"], given["answer"])
            votes[key] += vote
            voted.add(key)
    found: list[int | None] = []
    for case in cases:
        first, second = (_key(case.question, answer) for answer in (case.first, case.second))
        gap = votes[first] - votes[second]
        found.append((gap > 0) - (gap < 0) if voted & {first, second} else None)
    return found


def _key(question: str, answer: str) -> tuple[str, str]:
    return " ".join(question.split()), " ".join(answer.split())
