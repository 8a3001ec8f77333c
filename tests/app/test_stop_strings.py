from itertools import pairwise

import pytest

from app.stop_strings import StopStrings


@pytest.mark.parametrize(
    ("stops", "text", "shown", "ended"),
    [
        ((), "abc", "abc", False),
        (("bc",), "abcbc", "a", True),
        (("c", "bc"), "abc", "a", True),
        (("cd",), "abc", "ab", False),
        (("d", "bcd", "cde"), "abc", "a", False),
        (("aab",), "aa", "", False),
        (("abab",), "xaba", "x", False),
    ],
)
def test_a_text_is_cut_before_a_stop_string_or_its_beginning(
    stops: tuple[str, ...], text: str, shown: str, ended: bool
) -> None:
    assert StopStrings(stops).cut(text, is_whole=False) == (shown, ended)


def test_a_whole_text_keeps_the_beginning_of_a_stop_string() -> None:
    assert StopStrings(["cd"]).cut("abc", is_whole=True) == ("abc", False)


def test_what_was_shown_of_a_growing_text_is_never_taken_back() -> None:
    stops, text = StopStrings(["abab", "bb", "aabba"]), "cabaabaababcaabbab"
    shown = [stops.cut(text[:end], end == len(text))[0] for end in range(len(text) + 1)]
    for earlier, later in pairwise(shown):
        assert later.startswith(earlier)
    assert shown[-1] == "cabaaba"
