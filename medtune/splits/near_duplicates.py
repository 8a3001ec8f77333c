"""Finds near-duplicates: pairs of answers with similar sets of shingles.

Texts are normalised before anything is compared. A shingle is an n-gram of SHINGLE_WORDS words,
which come hashed from `hashing`. MinHash finds pairs, which are then verified exactly.
"""

import re
import unicodedata
from collections.abc import Iterator

import numpy as np
from rensa import RMinHash

from medtune.splits.ngrams import ODD, distinct_ngrams
from medtune.splits.text_hashes import Array, TextHashes

# A Chinese or Japanese character counts as a word.
WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\W\u3040-\u30ff\u3400-\u9fff]+")
SHINGLE_WORDS = 2
PERMUTATIONS = 128
FOUND_SHARE = 0.98  # of the pairs just at the similarity; more of those above it
ESTIMATE_MARGIN = 0.1  # for MinHash: over two standard errors at 128 permutations
NEIGHBOURS = 16  # that a record of a large bucket is compared with
BLOCK_PAIRS = 2**15

Pairs = tuple[Array, Array]


def normalised(text: str) -> str:
    """Returns the words of a text in Unicode NFKC and lower case, with single spaces between them.

    Punctuation and spacing make no difference.

    >>> normalised("Vitamin-B₁₂  deficiency?")
    'vitamin b12 deficiency'
    """
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", text).lower()))


def compared_text(answer: str) -> str:
    """Returns what of a card has shingles: its normalised answer, between two marks.

    With the marks, a change at either end costs as many shingles as one within.

    >>> compared_text("a painful arthritis")
    '^ a painful arthritis $'
    """
    return f"^ {answer} $" if answer else "^ $"


def shingles_of(words: Array, starts: Array, stops: Array) -> tuple[Array, Array, Array]:
    """Returns the shingles of each row words[start:stop]: their counts, hashes and digests.

    The digests are of MinHash, (rows, PERMUTATIONS).
    """
    counts, shingles = distinct_ngrams(words, starts, stops, SHINGLE_WORDS)
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles, ends, PERMUTATIONS, 0)
    return counts, shingles, np.array(matrix.to_rows(), dtype=np.uint32)


def candidates(texts: TextHashes, similarity: float, rows: Array) -> Iterator[Pairs]:
    """Yields, band by band, pairs of `rows` whose digests agree in the whole band.

    Boilerplate makes buckets of many thousand records. Their records are sorted by the next band,
    then by hash, and each is paired with the NEIGHBOURS that follow.
    """
    width = _band_rows(similarity)
    rows = rows[np.argsort(texts.answer[rows], kind="stable")]
    bands = [list(range(start, start + width)) for start in range(0, PERMUTATIONS, width)]
    keys = _band_keys(texts, rows, bands[0])
    for band in (*bands[1 : PERMUTATIONS // width], bands[0]):
        next_keys = _band_keys(texts, rows, band)
        yield _neighbours(rows, keys, next_keys)
        keys = next_keys


def similar(texts: TextHashes, pairs: Pairs, similarity: float) -> Pairs:
    """Returns the pairs whose shingles have a Jaccard similarity of at least `similarity`."""
    kept = [np.zeros((2, 0), np.int64)]
    for start in range(0, len(pairs[0]), BLOCK_PAIRS):
        block = np.stack([side[start : start + BLOCK_PAIRS] for side in pairs])
        estimate = (texts.digests[block[0]] == texts.digests[block[1]]).mean(axis=1)
        block = block[:, estimate >= similarity - ESTIMATE_MARGIN]
        kept.append(block[:, _jaccard(texts, block[0], block[1]) >= similarity])
    left, right = np.concatenate(kept, axis=1)
    return left, right


def _band_rows(similarity: float) -> int:
    """Returns the widest band that finds FOUND_SHARE of the pairs of this similarity."""
    for width in range(16, 1, -1):
        if 1 - (1 - similarity**width) ** (PERMUTATIONS // width) >= FOUND_SHARE:
            return width
    return 1


def _band_keys(texts: TextHashes, rows: Array, band: list[int]) -> Array:
    keys = np.zeros(len(rows), np.uint64)
    for column in band:
        keys = keys * ODD + texts.digests[rows, column]
    return keys


def _neighbours(rows: Array, keys: Array, next_keys: Array) -> Pairs:
    order = np.lexsort((next_keys, keys))
    keys, rows = keys[order], rows[order]
    found = [np.zeros((2, 0), np.int64)]
    first = np.arange(len(rows))
    for distance in range(1, NEIGHBOURS + 1):
        first = first[first + distance < len(rows)]
        first = first[keys[first] == keys[first + distance]]
        found.append(np.stack([rows[first], rows[first + distance]]))
    left, right = np.concatenate(found, axis=1)
    return left, right


def _jaccard(texts: TextHashes, left: Array, right: Array) -> Array:
    """Returns the exact similarity of each pair; shingles are compared by 48 of their bits."""
    sizes = np.diff(texts.offsets)
    entries = []
    for rows in (left, right):
        pair = np.repeat(np.arange(len(rows)), sizes[rows])
        first = np.cumsum(sizes[rows]) - sizes[rows]
        shingles = texts.shingles[np.arange(len(pair)) + (texts.offsets[rows] - first)[pair]]
        entries.append(pair.astype(np.uint64) << np.uint64(48) | shingles >> np.uint64(16))
    merged = np.sort(np.concatenate(entries))
    twice = merged[1:][merged[1:] == merged[:-1]] >> np.uint64(48)
    shared = np.bincount(twice.astype(np.int64), minlength=len(left))
    return shared / (sizes[left] + sizes[right] - shared)
