"""Normalises texts before they are compared with each other."""

import re
import unicodedata

# A Chinese or Japanese character counts as a word.
WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\W\u3040-\u30ff\u3400-\u9fff]+")


def normalised(text: str) -> str:
    """Returns the words of a text in Unicode NFKC and lower case, with single spaces between them.

    Punctuation and spacing make no difference.

    >>> normalised("Vitamin-B₁₂  deficiency?")
    'vitamin b12 deficiency'
    """
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", text).lower()))
