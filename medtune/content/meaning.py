"""Compares the meaning of an answer and its reference by a sentence encoder."""

from collections.abc import Sequence

import numpy as np

from medtune.content.encoder import encoded

DIGITS = 5  # those that do not depend on the other texts that are encoded together


def similarities(predictions: Sequence[str], references: Sequence[str]) -> list[float]:
    """Returns the cosine of each prediction and its reference, 0 to 1; negative ones are 0.

    A prediction without a letter or digit has 0. Each different text is encoded once.
    """
    texts = sorted({*predictions, *references})
    row = {text: number for number, text in enumerate(texts)}
    vectors = encoded(texts)
    first, second = (vectors[[row[t] for t in side]] for side in (predictions, references))
    cosines = np.clip((first * second).sum(axis=1), 0, 1).round(DIGITS)
    return [
        float(cosine) if any(map(str.isalnum, text)) else 0.0
        for text, cosine in zip(predictions, cosines, strict=True)
    ]
