"""What the guard has the assistant say before, after or instead of an answer."""

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
BRIEF = 5  # words; a longer follow-up refers to what was said
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
    """What the model said in an answer that came with remarks; nothing if it was a remark alone."""
    for text in (OUT_OF_SCOPE, WARNING, message("caution"), message("emergency")):
        answer = "" if answer == text else answer.removeprefix(text + GAP).removesuffix(GAP + text)
    return answer


class Remarker:
    """Remarks on conversations; `check` is a Guard's method, `scope` is guard.scope."""

    def __init__(self, check: Callable[[str], Verdict], scope: Scope) -> None:
        self.check, self.scope = check, scope

    def remarks(self, messages: Sequence[Message]) -> Remarks:
        """On the last question; one that is not medical by itself may follow one that is."""
        *earlier, last = [m["content"] for m in messages if m["role"] == "user"]
        verdict = self.check(last)
        medical = self.scope == "off" or verdict.medical or self._follows(earlier, last)
        if not medical and self.scope == "block":
            return Remarks(instead=OUT_OF_SCOPE)
        after = [text for text in (verdict.after, None if medical else WARNING) if text]
        return Remarks(before=verdict.before, after=GAP.join(after) or None)

    def _follows(self, earlier: Sequence[str], last: str) -> bool:
        """Whether it is a follow-up, medical together with the nearest one that is so by itself."""
        if len(last.split()) > BRIEF and not REFERRING.search(last):
            return False
        topic = next((q for q in earlier[: -EARLIER - 1 : -1] if self.check(q).medical), None)
        return topic is not None and self.check(f"{topic} {last}").medical
