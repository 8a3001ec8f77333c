"""Chooses the fixed texts that the guard puts before, after or in place of an answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from medtune.guard.classifier import OUT_OF_SCOPE, Verdict
from medtune.guard.rules import message
from medtune.modeling.prompts import Message

WARNING = (
    "Note: this question does not seem to be about health or medicine, which is what this "
    "assistant is made for. Take the answer with extra care."
)
GAP = "\n\n"  # between an answer and the fixed texts around it
EARLIER = 4  # questions that a follow-up may belong to
BRIEF = 5  # words; a longer follow-up must refer to what was said
REFERRING = re.compile(
    r"\b(and|but|or|so|then|also|else|more|same|such|ones?|it|its|this|that|these|those"
    r"|they|them|their|he|him|his|she|her)\b",
    re.IGNORECASE,
)

Scope = Literal["off", "warn", "block"]


@dataclass(frozen=True)
class Remarks:
    """Fixed texts around an answer; `instead` is one in its place."""

    before: str | None = None
    after: str | None = None
    instead: str | None = None


def own_words(answer: str) -> str:
    """Removes the remarks from an answer; nothing is left if it was only a remark."""
    for text in (OUT_OF_SCOPE, WARNING, message("caution"), message("emergency")):
        answer = "" if answer == text else answer.removeprefix(text + GAP).removesuffix(GAP + text)
    return answer


class Remarker:
    """Remarks on conversations; `check` is a Guard's method, `scope` is guard.scope."""

    def __init__(self, check: Callable[[str], Verdict], scope: Scope) -> None:
        self.check, self.scope = check, scope

    def remarks(self, messages: Sequence[Message]) -> Remarks:
        """Returns the remarks on the last question, which may be a follow-up to a medical one."""
        *earlier, last = [m["content"] for m in messages if m["role"] == "user"]
        verdict = self.check(last)
        medical = self.scope == "off" or verdict.medical or self._follows(earlier, last)
        if not medical and self.scope == "block":
            return Remarks(instead=OUT_OF_SCOPE)
        after = [text for text in (verdict.after, None if medical else WARNING) if text]
        return Remarks(before=verdict.before, after=GAP.join(after) or None)

    def _follows(self, earlier: Sequence[str], last: str) -> bool:
        """Whether `last` is a follow-up that is medical together with the nearest medical one."""
        if len(last.split()) > BRIEF and not REFERRING.search(last):
            return False
        topic = next((q for q in earlier[: -EARLIER - 1 : -1] if self.check(q).medical), None)
        return topic is not None and self.check(f"{topic} {last}").medical
