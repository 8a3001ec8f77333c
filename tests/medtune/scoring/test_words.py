import pytest
from hypothesis import given, settings, strategies
from rouge_score.tokenizers import DefaultTokenizer

from medtune.scoring.words import UnicodeTokenizer, beyond_ascii, repetition


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5 µg of a β-blocker", ["5", "μg", "of", "a", "β", "blocker"]),
        ("5 μG of a Β-blocker", ["5", "μg", "of", "a", "β", "blocker"]),
        ("na\u0131ve, nai\u0308ve", ["naıve", "naïve"]),
        ("Straße_2 ≥ 5 %", ["strasse", "2", "5"]),
        ("", []),
    ],
)
def test_letters_of_all_scripts_are_kept_in_one_spelling(text: str, words: list[str]) -> None:
    assert UnicodeTokenizer(use_stemmer=False).tokenize(text) == words


@pytest.mark.parametrize("use_stemmer", [False, True])
@settings(deadline=None)
@given(text=strategies.text(strategies.characters(max_codepoint=127)))
def test_ascii_text_gives_the_words_of_rouge(use_stemmer: bool, text: str) -> None:
    ours, theirs = UnicodeTokenizer(use_stemmer), DefaultTokenizer(use_stemmer)
    assert ours.tokenize(text) == theirs.tokenize(text)


@pytest.mark.parametrize(
    ("text", "beyond"),
    [("5 mg", False), ("≥ 5 % – “x”", False), ("5 µg", True), ("e\u0301", True), ("m²", True)],
)
def test_signs_without_a_letter_are_not_beyond_ascii(text: str, beyond: bool) -> None:
    assert beyond_ascii(text) is beyond


@pytest.mark.parametrize(
    ("text", "share"), [("a b c d a b c d", 0.2), ("a b c d", 0.0), ("", 0.0), ("a a a a a", 0.5)]
)
def test_repetition_is_the_share_of_4_grams_seen_before(text: str, share: float) -> None:
    assert repetition(text.split()) == pytest.approx(share)
