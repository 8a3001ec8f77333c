"""Hashes of word n-grams."""

import numpy as np
import pandas as pd

from medtune.splits.text_hashes import Array

ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio (Knuth's multiplicative hash)
ROW = np.uint64(0xC2B2AE3D27D4EB4F)


def distinct_ngrams(words: Array, starts: Array, stops: Array, n: int) -> tuple[Array, Array]:
    """Returns the number of distinct n-grams of each row words[start:stop], and the n-grams."""
    lengths = np.maximum(stops - starts - n + 1, 0)
    rows = np.repeat(np.arange(len(starts)), lengths)
    first = np.arange(len(rows)) + (starts - np.cumsum(lengths) + lengths)[rows]
    grams = np.zeros(len(rows), np.uint64)
    for offset in range(n):
        grams = grams * ODD + words[first + offset]
    distinct = ~pd.Series(grams + rows.astype(np.uint64) * ROW).duplicated().to_numpy()
    return np.bincount(rows[distinct], minlength=len(starts)), grams[distinct]


def in_several(counts: Array, grams: Array) -> tuple[Array, Array]:
    """Numbers the n-grams that several rows share; returns (numbers, rows), one per entry."""
    order = np.argsort(grams, kind="stable")
    grams = grams[order]
    as_before = np.concatenate([[False], grams[1:] == grams[:-1]])[: len(grams)]
    several = as_before | np.append(as_before[1:], False)[: len(grams)]
    rows = np.searchsorted(np.cumsum(counts), order[several], side="right")
    return np.cumsum(~as_before[several]) - 1, rows
