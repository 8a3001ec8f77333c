"""Finds topics with two spellings, such as "Coarctation of aorta" and "Aorta coarctation"."""

import re

SMALL_WORDS = ("of", "the")
NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ROMANS = (
    *("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"),
    *("xi", "xii", "xiii", "xiv", "xv", "xvi", "xvii", "xviii", "xix", "xx"),
)
DIGITS = {
    word: str(number) for words in (NUMBER_WORDS, ROMANS) for number, word in enumerate(words, 1)
}
ROMAN_WITH_LETTER = re.compile("([ivx]+)([a-e])")


def same_for_spellings(topic: str) -> str:
    """Returns a text that is the same for all spellings of a normalised topic.

    The order of the words makes no difference, nor do Roman numerals and number words.

    >>> same_for_spellings("coarctation of the aorta") == same_for_spellings("aorta coarctation")
    True
    >>> same_for_spellings("glycogen storage disease type iia")
    '2a disease glycogen storage type'
    """
    return " ".join(sorted(_in_digits(word) for word in topic.split() if word not in SMALL_WORDS))


def _in_digits(word: str) -> str:
    if (match := ROMAN_WITH_LETTER.fullmatch(word)) and match[1] in DIGITS:
        return DIGITS[match[1]] + match[2]
    return DIGITS.get(word, word)
