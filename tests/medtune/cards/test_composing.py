"""Marks are composed as NFC has it, in a time that does not explode with their number."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from medtune.cards.cleaning import compose

MARKS = [char for char in map(chr, range(0x300, 0x20000)) if unicodedata.combining(char)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("aé가q\u0f40"),
            st.lists(st.sampled_from([*MARKS, "\u0f73", "\u0f75", "\u0f81"]), max_size=80),
        )
    )
)
def test_marks_are_composed_as_nfc_has_it(letters):
    text = "".join(letter + "".join(marks) for letter, marks in letters)
    assert compose(text) == unicodedata.normalize("NFC", text)
