"""Splits text in any script into words, and keeps what ROUGE's own tokenizer drops."""

import re
import unicodedata

WORD = re.compile(r"[^\W_]+")


def fold(text: str) -> str:
    """Removes case and composes characters, so that equal letters are equal characters.

    >>> fold("µG") == fold("μg")  # the micro sign and the Greek letter
    True
    """
    return unicodedata.normalize("NFC", text.casefold())


def beyond_ascii(text: str) -> bool:
    """Whether a letter or digit is outside a-z and 0-9, where ROUGE's tokenizer cuts words."""
    return any(char.isalnum() and not char.isascii() for char in fold(text))


class UnicodeTokenizer:
    """ROUGE's tokenizer for letters and digits of all scripts; the same on ASCII text.

    From "5 µg of a β-blocker" the standard one makes 5, g, of, a, blocker; this one makes 5, μg,
    of, a, β, blocker. With a stemmer (Porter 1980), words of more than three letters are stemmed.
    """

    def __init__(self, use_stemmer: bool) -> None:
        from nltk.stem.porter import PorterStemmer

        self._stemmer = PorterStemmer() if use_stemmer else None

    def tokenize(self, text: str) -> list[str]:
        words = WORD.findall(fold(text))
        if self._stemmer is None:
            return words
        return [self._stemmer.stem(word) if len(word) > 3 else word for word in words]


def repetition(words: list[str], n: int = 4) -> float:
    """Returns the share of word n-grams that occurred earlier in the same text, 0 (none) to 1.

    >>> round(repetition("a b c d a b c d".split()), 3)
    0.2
    """
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
