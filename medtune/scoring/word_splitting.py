"""Splits text in any script into words, and keeps what ROUGE's own tokenizer drops.

In scripts that put no spaces between words, such as Chinese, Japanese and Thai, each character with
its marks counts as a word. Marks of other scripts stay with their letters.
"""

import unicodedata

import regex

from medtune.runtime.imports import without

_SCRIPTS = (
    "Han Hiragana Katakana Bopomofo Yi Thai Lao Khmer Myanmar Tai_Le New_Tai_Lue Tai_Tham "
    "Javanese Balinese"
)
_LETTER = "[[{}ーｰ]&&\\p{{L}}]".format("".join(rf"\p{{{name}}}" for name in _SCRIPTS.split()))
_CHARACTER = rf"(?={_LETTER})\X\p{{M}}*"
_OTHER = r"[^\p{L}\p{N}\s]*"  # marks and punctuation

UNSPACED_CHARACTER = regex.compile(_CHARACTER, regex.V1)
WORD = regex.compile(
    rf"{_CHARACTER}|(?:(?!{_LETTER})[\p{{L}}\p{{N}}][\p{{Mn}}\p{{Mc}}]*)+", regex.V1
)
WRITTEN_WORD = regex.compile(rf"{_OTHER}(?={_LETTER})\X{_OTHER}|(?:(?!{_LETTER})\S)+", regex.V1)
_SPACE_BETWEEN_CHARACTERS = regex.compile(
    rf"(?<={_LETTER}{_OTHER}) (?={_OTHER}{_LETTER})", regex.V1
)
JOINERS = regex.compile("[\u00ad\u200c\u200d\u2060\ufe0e\ufe0f]")  # change no letter
UNUSED_BY_NLTK = ("scipy", "sklearn")  # it would import them for what is not used here


def fold(text: str) -> str:
    """Removes case and composes characters, so that equal letters are equal characters.

    >>> fold("µG") == fold("μg")  # the micro sign and the Greek letter
    True
    """
    return unicodedata.normalize("NFC", text.casefold())


def beyond_ascii(text: str) -> bool:
    """Whether a letter or digit is outside a-z and 0-9, where ROUGE's tokenizer cuts words."""
    return any(char.isalnum() and not char.isascii() for char in fold(text))


def has_unspaced(text: str) -> bool:
    """Whether a part of the text is in a script without spaces."""
    return not text.isascii() and UNSPACED_CHARACTER.search(text) is not None


def with_spaces(text: str) -> str:
    """Puts spaces around each character of a script without spaces.

    >>> with_spaces("BRCA1是基因")
    'BRCA1 是  基  因 '
    """
    return text if text.isascii() else UNSPACED_CHARACTER.sub(r" \g<0> ", text)


def written_words(text: str) -> list[str]:
    """Returns the words between spaces with their punctuation; each character is a word.

    >>> written_words("take 5 mg, 每天。")
    ['take', '5', 'mg,', '每', '天。']
    """
    return WRITTEN_WORD.findall(text) if has_unspaced(text) else text.split()


def join_words(words: list[str]) -> str:
    """Writes words as a text, with spaces where their script has them.

    >>> join_words(written_words("take 5 mg, 每天。"))
    'take 5 mg, 每天。'
    """
    return _SPACE_BETWEEN_CHARACTERS.sub("", " ".join(words))


class UnicodeTokenizer:
    """ROUGE's tokenizer for letters and digits of all scripts; the same on ASCII text.

    From "5 µg of a β-blocker" the standard one makes 5, g, of, a, blocker; this one makes 5, μg,
    of, a, β, blocker. With a stemmer (Porter 1980), words of more than three letters are stemmed.
    """

    def __init__(self, use_stemmer: bool) -> None:
        with without(*UNUSED_BY_NLTK):
            from nltk.stem.porter import PorterStemmer

        self._stemmer = PorterStemmer() if use_stemmer else None

    def tokenize(self, text: str) -> list[str]:
        words = WORD.findall(JOINERS.sub("", fold(text)))
        if self._stemmer is None:
            return words
        return [self._stemmer.stem(word) if len(word) > 3 else word for word in words]
