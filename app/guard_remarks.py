"""Chooses the fixed texts that the guard puts before, after or in place of an answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from medtune.guard.classifier import Assessment
from medtune.guard.notices import Notice, caution, is_fixed, notice, off_topic, support
from medtune.guard.rules import SELF_HARM
from medtune.modeling.prompts import ChatMessage

GAP = "\n\n"  # between an answer and the fixed texts around it
EARLIER = 4  # questions that a follow-up may belong to
BRIEF = 5  # words; a longer follow-up must refer to what was said
REFERRING = re.compile(
    r"\b(and|but|or|so|then|also|else|more|same|such|ones?|it|its|this|that|these|those"
    r"|they|them|their|he|him|his|she|her)\b",
    re.IGNORECASE,
)

Scope = Literal["off", "warn", "block"]
Check = Callable[[str, Sequence[str]], Assessment]


@dataclass(frozen=True)
class Remarks:
    """Fixed texts around an answer; `instead` is one in its place, and may be empty."""

    notice: Notice | None = None
    after: str | None = None
    instead: str | None = None
    distress: bool = False  # in this question or an earlier one

    @property
    def before(self) -> str | None:
        return self.notice.plain if self.notice else None


def own_words(answer: str) -> str:
    """Removes the remarks from an answer; nothing is left if it was only remarks."""
    paragraphs = answer.split(GAP)
    while paragraphs and is_fixed(paragraphs[0]):
        del paragraphs[0]
    while paragraphs and is_fixed(paragraphs[-1]):
        del paragraphs[-1]
    return GAP.join(paragraphs)


class Remarker:
    """Remarks on conversations; `check` is a Guard's method, `scope` is guard.scope.

    `region` chooses the numbers to call, from medtune/guard/emergency_numbers.toml.
    """

    def __init__(self, check: Check, scope: Scope, region: str | None = None) -> None:
        self.check, self.scope, self.region = check, scope, region

    def remarks(self, messages: Sequence[ChatMessage]) -> Remarks:
        """Returns the remarks on the last question, which is judged with those before it.

        After a sign of distress, no question of the conversation is called out of scope, and each
        answer ends with a sentence on where to find support, unless a notice stands before it. So
        does an answer about suicide or self-harm as a subject. A model does not answer a question
        with signs of suicide: small ones just repeat the plan.
        """
        *earlier, last = [m["content"] for m in messages if m["role"] == "user"]
        assessment = self.check(last, earlier)
        medical = self.scope == "off" or assessment.medical or self._follows(earlier, last)
        if not medical and self.scope == "block":
            return Remarks(instead=off_topic("block"))
        kind = assessment.emergency
        alert = notice(kind, self.region, assessment.language) if kind else None
        if kind == SELF_HARM:
            return Remarks(alert, instead=support(self.region), distress=True)
        after = [
            caution() if assessment.caution else None,
            support(self.region)
            if (assessment.distress or assessment.support) and not kind
            else None,
            None if medical else off_topic("warn"),
        ]
        return Remarks(
            notice=alert,
            after=GAP.join(filter(None, after)) or None,
            distress=assessment.distress,
        )

    def _follows(self, earlier: Sequence[str], last: str) -> bool:
        """Whether `last` is a follow-up that is medical together with the nearest medical one."""
        if len(last.split()) > BRIEF and not REFERRING.search(last):
            return False
        near = earlier[: -EARLIER - 1 : -1]
        topic = next((asked for asked in near if self.check(asked, ()).medical), None)
        return topic is not None and self.check(f"{topic} {last}", ()).medical
