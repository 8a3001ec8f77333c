import time

import pytest
from hypothesis import given, settings, strategies
from rouge_score.tokenizers import DefaultTokenizer

from medtune.scoring.word_splitting import (
    UnicodeTokenizer,
    beyond_ascii,
    join_words,
    with_spaces,
    written_words,
)


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


@pytest.mark.slow
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
    ("text", "words"),
    [
        ("高血压由BRCA1引起。", ["高", "血", "压", "由", "brca1", "引", "起"]),
        ("データは5mg、々", ["デ", "ー", "タ", "は", "5mg", "々"]),
        ("ｶﾞﾝ", ["ｶﾞ", "ﾝ"]),
        ("น้ำตาล ๕๐", ["น้ำ", "ต", "า", "ล", "๕๐"]),
        ("ကာကွယ်", ["ကာ", "ကွ", "ယ်"]),
        ("ជំងឺ", ["ជំ", "ងឺ"]),
        ("मधुमेह एक रोग है।", ["मधुमेह", "एक", "रोग", "है"]),
        ("ক্যান্সার", ["ক্যান্সার"]),
        ("مُزمن", ["مُزمن"]),
        ("당뇨병은 질환", ["당뇨병은", "질환"]),
        ("क्\u200dष", ["क्ष"]),
        ("x\u0304 ± 2", ["x\u0304", "2"]),
    ],
)
def test_a_character_of_a_script_without_spaces_is_a_word_and_marks_stay(
    text: str, words: list[str]
) -> None:
    assert UnicodeTokenizer(use_stemmer=True).tokenize(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("take 5 mg, daily.", ["take", "5", "mg,", "daily."]),
        ("“高血压”（5mg）。", ["“高", "血", "压”（", "5mg）。"]),
        ("痛い。", ["痛", "い。"]),
        ("मधुमेह एक रोग है।", ["मधुमेह", "एक", "रोग", "है।"]),
        (" \x1c\n", []),
    ],
)
def test_written_words_keep_their_punctuation(text: str, words: list[str]) -> None:
    assert written_words(text) == words


@pytest.mark.slow
@given(text=strategies.text(strategies.characters(max_codepoint=0x0DFF)))  # Thai is the next
def test_words_between_spaces_are_those_of_split(text: str) -> None:
    assert written_words(text) == text.split()


@pytest.mark.parametrize("text", ["take 5 mg, 每天。", "高血压、 糖尿病", "a b", ""])
def test_words_are_joined_as_they_were_written(text: str) -> None:
    assert written_words(join_words(written_words(text))) == written_words(text)
    assert "每 天" not in join_words(written_words(text))


@pytest.mark.slow
def test_long_texts_in_any_script_take_no_time() -> None:
    start = time.process_time()
    for text in ("高" * 20_000, "-" * 20_000, "高-" * 10_000, "น้ำ" * 7_000, "\u0301" * 20_000):
        written_words(text), join_words([text]), with_spaces(text)
        UnicodeTokenizer(use_stemmer=False).tokenize(text)
    assert time.process_time() - start < 2
