"""Ends a text before the first of its stop strings, also where the text comes piece by piece.

The field `stop` of a request, and how many it may have: app/api/field_types.py.
"""

from collections.abc import Sequence


class StopStrings:
    """The strings that end an answer; none of them is part of it."""

    def __init__(self, strings: Sequence[str] = ()) -> None:
        self.strings = strings

    def cut(self, text: str, is_whole: bool) -> tuple[str, bool]:
        """Returns what may be shown of a text, and whether a stop string has ended it.

        What may be the beginning of a stop string is kept back until the text is whole.
        """
        found = [place for place in map(text.find, self.strings) if place >= 0]
        if found:
            return text[: min(found)], True
        kept = 0 if is_whole else max((_begun(text, each) for each in self.strings), default=0)
        return text[: len(text) - kept], False


def _begun(text: str, string: str) -> int:
    """Returns how many characters at the end of a text begin the string."""
    longest = min(len(string) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(string[:n])), 0)
