"""Misspelt key words are corrected, and nothing else."""

import pytest

from medtune.guard.spelling import corrected


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("chset", "chest"),
        ("siezure", "seizure"),
        ("unconsious", "unconscious"),
        ("breatheing", "breathing"),
        ("overdosedd", "overdosed"),
        ("sicide", "suicide"),
    ],
)
def test_a_key_word_with_one_mistake_is_corrected(wrong: str, right: str) -> None:
    assert corrected(wrong) == right


@pytest.mark.parametrize("word", ["cheese", "beach", "mouth", "starke", "suicidio", "tos", "xyz"])
def test_other_words_stay_as_they_are(word: str) -> None:
    assert corrected(word) == word
