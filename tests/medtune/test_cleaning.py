"""Texts are repaired and not restyled, and cleaning what is clean changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtune.cleaning import RULES, clean_text

REPAIRS = [
    ("101 Â°F and naÃ¯ve", "101 °F and naïve", {"encoding"}),
    ("it’s â€œfineâ€\x9d", "it’s “fine”", {"encoding"}),
    ("a&nbsp;b &amp; c", "a b & c", {"html", "whitespace"}),
    ("&amp;lt;br&amp;gt;twice", "twice", {"html", "whitespace"}),
    ("one<br/>two<P class='x'>three</P>", "one\ntwo\nthree", {"html", "whitespace"}),
    ("<ul><li>one</li><li>two</li></ul>", "- one\n- two", {"html", "whitespace"}),
    ("<b>bold</b> H<sub>2</sub>O 10<sup>9</sup>/l", "bold H2O 10^9/l", {"html"}),
    ('see <a href="x?a=1&b=2">this</a><!-- not that -->', "see this", {"html"}),
    ("a<script>alert(1)</script>b", "ab", {"html"}),
    ("a\x00b\u200bc\u202ed\ufeffe\xadf\u200dg\U000e0041", "abcdefg", {"invisible"}),
    ("cafe\u0301", "café", {"unicode"}),
    (" a\t b\u3000c \r\n\r\n\n d\u2028e ", "a b c\n\nd\ne", {"whitespace"}),
    ("- one\n- two\n", "- one\n- two", {"whitespace"}),
]


@pytest.mark.parametrize(("raw", "clean", "rules"), REPAIRS)
def test_a_fault_is_repaired_by_the_rule_that_is_counted(raw, clean, rules):
    assert clean_text(raw) == (clean, rules)


@pytest.mark.parametrize(
    "text",
    [
        "p < 0.05 and > 3",
        "if a <b and c> d",
        "x<y>z, IL-2<IL-4>",
        "R&D, AT&T, salt&parameters",
        "10⁹/l, 5 µg, Fe²⁺, ½, ﹪, ＡＢＣ，“quoted” – it’s…",
        "می\u200cخواهم",  # Persian: the joiner separates a prefix
        "👩\u200d⚕️",
        "- one\n- two\n\nend",
        "日本語、עברית",
    ],
)
def test_good_text_stays_as_it_is(text):
    assert clean_text(text) == (text, set())


FAULTS = st.lists(st.sampled_from([raw for raw, _, _ in REPAIRS] + list("<>&;/ \n\r\t\xe2\x80b")))


@given(st.one_of(st.text(), FAULTS.map("".join)))
def test_cleaning_the_clean_changes_nothing(text):
    cleaned, rules = clean_text(text)
    assert clean_text(cleaned) == (cleaned, set())
    assert rules <= set(RULES)
    assert rules or cleaned == text


@given(st.text(st.characters(max_codepoint=0x7E)).filter(lambda text: not set(text) & set("&<")))
def test_the_fast_path_gives_what_all_rules_give(text):
    slow = text
    for _ in range(2):
        for rule in RULES.values():
            slow = rule(slow)
    assert clean_text(text)[0] == slow
