"""Texts are repaired and not restyled, and cleaning what is clean changes nothing."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtune.cards.cleaning import RULES, clean_text, compose, unreadable_share
from medtune.config.schema import Rules

REPAIRS = [
    ("101 Â°F and naÃ¯ve", "101 °F and naïve", {"encoding"}),
    ("it’s â€œfineâ€\x9d", "it’s “fine”", {"encoding"}),
    ("\x1b[31mred\x1b[0m ﬁbre", "red fibre", {"encoding"}),
    ("a&nbsp;b &amp; c", "a b & c", {"html", "whitespace"}),
    ("&amp;lt;br&amp;gt;twice", "twice", {"html", "whitespace"}),
    ("one<br/>two<P class='x'>three</P>", "one\ntwo\nthree", {"html", "whitespace"}),
    ("<ul><li>one</li><li>two</li></ul>", "- one\n- two", {"html", "whitespace"}),
    ("<b>bold</b> H<sub>2</sub>O 10<sup>9</sup>/l", "bold H2O 10^9/l", {"html"}),
    ('see <a href="x?a=1&b=2">this</a><!-- not that -->', "see this", {"html"}),
    ("a<script>alert(1)</script>b", "ab", {"html"}),
    ('one<ref name="a">Smith 1999</ref> two<ref name="a" /> three', "one two three", {"html"}),
    ("**Gout:** a ***very*** __old__ disease", "Gout: a very old disease", {"markup"}),
    ("## Causes\n### of gout", "Causes\nof gout", {"markup"}),
    (
        "see [the NIH](https://nih.gov/a_b) or [[gout|this]] [[page]]",
        "see the NIH or this page",
        {"markup"},
    ),
    (
        "== Causes ==\n'''Graves' disease''' is ''common''",
        "Causes\nGraves' disease is common",
        {"markup"},
    ),
    ("__NOTOC__Pain {{#ev:youtube|e46jtin-H50}}[edit]", "Pain", {"markup", "whitespace"}),
    ("{{c1::Insulin::hormone}} lowers {{c2::glucose}}", "Insulin lowers glucose", {"markup"}),
    ("a\x00b\x7fc\ufffcd\uffff", "abcd", {"control_characters"}),
    ("a\u202eb\u200fc\u2066d\u2069", "abcd", {"bidi_controls"}),
    ("b\u200bc\ufeffe\xadf\u200dg\U000e0041", "bcefg", {"zero_width"}),
    ("cafe\u0301", "café", {"unicode"}),
    (" a\t b\u3000c \r\n\r\n\n d\u2028e ", "a b c\n\nd\ne", {"whitespace"}),
    ("- one\n- two\n", "- one\n- two", {"whitespace"}),
]
GOOD = [
    "p < 0.05 and > 3",
    "if a <b and c> d",
    "x<y>z, IL-2<IL-4>, <2.5 Hz",
    "R&D, AT&T, H&E, salt&parameters",
    "5 µg, 5 μg, 37 °C, ≥ 3, ± 2, 4–6 ‰, Å",
    "10⁹/L, Fe²⁺, CO₂, x̄, ½, ﹪, ＡＢＣ，“quoted” – it’s…",
    "α-synuclein, β₂, γ-GT, Δ9, κ, λ, Ω",
    "A → B ⇌ C, ♀ ♂, √2, ∞, ∆",
    "Sjögren, Ménière, Guillain–Barré, naïve, Brønsted, Ångström",
    "痛風是一種關節炎。日本語、한국어",
    "النقرس مرض مؤلم في المفاصل",
    "שיגדון היא מחלת פרקים",
    "подагра, ουρική αρθρίτιδα, गठिया, โรคเกาต์",
    "می\u200cخواهم",  # Persian: the joiner separates a prefix
    "क\u094d\u200dष",  # Hindi: the joiner keeps the half form
    "👩\u200d⚕️ ❤️ 💊",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    "- one\n- two\n\n1. three\n\nend",
    "5 * 3 * 2, 2**3, p<0.05**, **p<0.01, a*b*c",
    "*H. pylori*, HLA-B*57:01, CYP2C19*2 and *3, _E. coli_",
    "C#, F#, # of cells, #1 cause\n# of platelets",
    "5'' and 3'', 2',3'-dideoxy, Graves' disease",
    "[1], benzo[a]pyrene, 2-[[4-(a)phenyl]methyl]amine, [Na+](mmol/L)",
    "The ____ nerve, a == b, {x | x > 0}, {{template}}",
    r"$\beta$ and \alpha, C:\x, a_b_c, ~5 mg, 5 %, mg/dL, 50/50",
    "\uf0b7 Word's bullet",
]


def test_the_rules_are_those_of_the_params() -> None:
    assert list(RULES) == list(Rules.model_fields)


@pytest.mark.parametrize(("raw", "clean", "rules"), REPAIRS)
def test_a_fault_is_repaired_by_the_rule_that_is_counted(raw, clean, rules):
    assert clean_text(raw, RULES) == (clean, rules)


@pytest.mark.parametrize(("raw", "clean", "rules"), REPAIRS)
def test_a_rule_that_is_switched_off_leaves_its_fault(raw, clean, rules):
    off = next(iter(rules))
    cleaned, changed = clean_text(raw, {name: RULES[name] for name in RULES if name != off})
    assert cleaned != clean
    assert off not in changed


@pytest.mark.parametrize("text", GOOD)
def test_good_text_stays_as_it_is(text):
    assert clean_text(text, RULES) == (text, set())
    assert unreadable_share(text) == 0


FAULTS = [raw for raw, _, _ in REPAIRS] + list("<>&;/ \n\r\t\xe2\x80b*_#='[]{}|\u200d\ufffd")
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*FAULTS, *GOOD])).map("".join),
    st.tuples(st.text(max_size=3), st.sampled_from(FAULTS), st.text(max_size=3)).map("".join),
)
SOME_RULES = st.sets(st.sampled_from(list(RULES))).map(
    lambda names: {name: rule for name, rule in RULES.items() if name in names}
)


@pytest.mark.slow
@given(TEXTS, st.one_of(st.just(RULES), SOME_RULES))
def test_cleaning_the_clean_changes_nothing(text, rules):
    cleaned, changed = clean_text(text, rules)
    assert changed <= set(rules)
    if cleaned is not None:
        assert clean_text(cleaned, rules) == (cleaned, set())
        assert changed or cleaned == text


@pytest.mark.slow
@given(
    st.text(st.characters(max_codepoint=0x7E)).filter(lambda text: not set(text) & set("&<")),
    SOME_RULES,
)
def test_the_fast_path_gives_what_all_rules_give(text, rules):
    slow, before = text, None
    while slow != before:
        before = slow
        for rule in rules.values():
            slow = rule(slow)
    assert clean_text(text, rules)[0] in (slow, None)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("plain text", 0),
        ("5 \ufffdg", 1 / 4),
        ("\ufffd" * 3, 1),
        ("Ðµ\ufffd 10", 3 / 6),  # mojibake that has lost a byte
    ],
)
def test_what_no_repair_can_read_is_measured(text, share):
    assert unreadable_share(text) == pytest.approx(share)


NESTED = 2000


@pytest.mark.parametrize(
    ("text", "settles"),
    [
        ("<b" * NESTED + ">" * NESTED, False),
        ("&amp;" * NESTED, True),
        ("&" + "amp;" * NESTED, False),
        ("<!--" * NESTED, True),
        ("<script>" * NESTED, True),
        ("**a " * NESTED, True),
        ("## " * NESTED, True),
        ("''a " * NESTED, True),
        ("== " + " " * NESTED * 4, True),
        ("[[a|" * NESTED, True),
    ],
)
def test_hostile_text_takes_only_a_moment(text, settles):
    start = time.process_time()
    cleaned, _ = clean_text(text, RULES)
    assert (cleaned is not None) is settles
    assert time.process_time() - start < 1


MARKS = [char for char in map(chr, range(0x300, 0x20000)) if unicodedata.combining(char)]


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from("aé가q\u0f40"),
            st.lists(st.sampled_from([*MARKS, "\u0f73", "\u0f75", "\u0f81"]), max_size=80),
        )
    )
)
def test_marks_are_composed_as_nfc_does(letters):
    text = "".join(letter + "".join(marks) for letter, marks in letters)
    assert compose(text) == unicodedata.normalize("NFC", text)
