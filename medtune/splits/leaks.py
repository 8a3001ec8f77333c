"""Finds the held-out records that share text with records that a model may have seen."""

import numpy as np
import pandas as pd

from medtune.config.allowed_values import SPLITS
from medtune.splits.near_duplicates import candidates, similar
from medtune.splits.text_hashes import Array, TextHashes

LEAK_WORDS = 13  # the n-gram length of GPT-3's contamination check (Brown et al. 2020)
LEAK_SHARE = 0.5  # of an answer's 13-grams; with that many in other answers, it counts as known
REASONS = ("question", "answer", "ngram13", "near_duplicate")
NONE = -1


def leak_rates(texts: TextHashes, known: Array, held: Array) -> dict[str, float]:
    """Returns the shares, 0 to 1, of held-out records whose text is also in the known ones.

    `question` and `answer` mean the same normalised text, `ngram13` at least half of the answer's
    13-grams (an answer of fewer words has none and does not count). A conversation counts if one of
    its turns does. `known` and `held` are masks of the records.
    """
    found = _sources(texts, known, held)
    return {name: float((rows[held] != NONE).mean()) for name, rows in found.items()}


def random_leak_rates(texts: TextHashes, train: int, test: int, seed: int) -> dict[str, float]:
    """Returns the leak rates of a row-by-row split, as most notebooks use, of the same sizes."""
    order = np.random.default_rng(seed).permutation(texts.record_count)
    known, held = np.zeros((2, len(order)), bool)
    known[order[:train]], held[order[len(order) - test :]] = True, True
    return leak_rates(texts, known, held)


def shared_text(
    texts: TextHashes, splits: Array, among: Array, similarity: float
) -> tuple[Array, Array]:
    """Finds the records of the mask `among` that share text with an earlier split.

    `splits` are names; the first of train, validation and test keeps a text. Returns, for each
    record, the reason ("" if it shares nothing) and the record it shares text with (-1 for none).
    """
    reasons = np.full(texts.record_count, "", dtype="U14")
    partners = np.full(texts.record_count, NONE)
    for number, split in enumerate(SPLITS[1:], 1):
        known = among & np.isin(splits, SPLITS[:number]) & (reasons == "")
        held = among & (splits == split)
        for reason, rows in _sources(texts, known, held).items():
            new = (rows != NONE) & (partners == NONE)
            reasons[new], partners[new] = reason, rows[new]
        rows = _near_duplicates(texts, known, held & (partners == NONE), similarity)
        reasons[rows != NONE] = "near_duplicate"
        partners[rows != NONE] = rows[rows != NONE]
    return reasons, partners


def _sources(texts: TextHashes, known: Array, held: Array) -> dict[str, Array]:
    """Returns, by reason and record, a known record that shares text with a held-out one, or -1."""
    known, held = known[texts.records], held[texts.records]  # masks of the turns
    found = {
        "question": np.where(held, _first(texts.question, known), NONE),
        "answer": np.where(held, _first(texts.answer, known), NONE),
    }
    numbers, rows = texts.ngrams, texts.ngram_rows
    first = np.full(numbers.max(initial=-1) + 1, NONE)
    of_known = np.flatnonzero(known[rows])[::-1]
    first[numbers[of_known]] = rows[of_known]
    sources = first[numbers]
    seen = np.flatnonzero(held[rows] & (sources != NONE))
    counts = np.bincount(rows[seen], minlength=len(texts))
    partners = np.full(len(texts), NONE)
    partners[rows[seen]] = sources[seen]
    enough = (counts > 0) & (counts >= LEAK_SHARE * texts.ngram_counts)
    found["ngram13"] = np.where(enough, partners, NONE)
    return {reason: _by_record(texts, turns) for reason, turns in found.items()}


def _by_record(texts: TextHashes, turns: Array) -> Array:
    """Returns, for each record, the record of the first partner that its turns have, or -1."""
    found = np.full(texts.record_count, NONE)
    rows = np.flatnonzero(turns != NONE)[::-1]  # the last of several assignments wins
    found[texts.records[rows]] = texts.records[turns[rows]]
    return found


def _first(hashes: Array, among: Array) -> Array:
    """Returns, for each turn, the first one of the mask `among` with the same hash, or -1."""
    codes, uniques = pd.factorize(hashes)
    first = np.full(len(uniques), NONE)
    rows = np.flatnonzero(among)[::-1]  # the last of several assignments wins
    first[codes[rows]] = rows
    return first[codes]


def _near_duplicates(texts: TextHashes, known: Array, held: Array, similarity: float) -> Array:
    """Returns, for each held-out record, a known near-duplicate or -1; equal answers count once."""
    known, held = known[texts.records], held[texts.records]  # masks of the turns
    first_known, first_held = (_first(texts.answer, mask) for mask in (known, held))
    partners = np.full(len(texts), NONE)
    rows = np.concatenate([np.unique(first_known[known]), np.unique(first_held[held])])
    for left, right in candidates(texts, similarity, rows):
        left, right = np.where(held[left], (left, right), (right, left))
        open_pairs = held[left] & known[right] & (partners[left] == NONE)
        left, right = similar(texts, (left[open_pairs], right[open_pairs]), similarity)
        partners[left] = right
    return _by_record(texts, np.where(held, partners[first_held], NONE))
