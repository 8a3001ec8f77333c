"""Which cards must stay together, and how much of a test set stands in the training set.

Text is compared after normalisation: Unicode NFKC, lower case, letters and digits only, so that
punctuation and spacing make no two texts out of one.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SHINGLE_WORDS = 3
LEAK_WORDS = 13  # the n-gram length of GPT-3's contamination check (Brown et al. 2020)
LEAK_SHARE = 0.5
PERMUTATIONS = 126
FOUND_SHARE = 0.98  # of the pairs just as similar as asked for; of more similar ones, more
ESTIMATE_MARGIN = 0.15  # of MinHash at 126 permutations: over three standard errors
LARGE_BUCKET = 30

Array = np.ndarray
Edges = tuple[Array, Array]


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def groups(records: pd.DataFrame, similarity: float) -> Array:
    """The connected component of each record, numbered from 0; components must not straddle splits.

    Linked are records of one topic (if they have one), one normalised question or answer, answers
    whose sets of word trigrams have a Jaccard similarity of at least `similarity`, and a record of
    whose answer's 13-grams half or more stand in others with these others.
    """
    questions = records["question"].map(normalised)
    answers = records["answer"].map(normalised)
    topics = records["topic"].map(normalised)
    edges = [
        _same(topics[topics != ""]),
        _same(questions),
        _same(answers),
        _shared_ngrams(answers.tolist()),
    ]
    labels = _components(len(records), edges)
    edges.append(_near_duplicates(answers.tolist(), similarity, labels))
    return _components(len(records), edges)


def leak_rates(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """Shares of the test records, 0 to 1, whose text stands in the training records.

    `question` and `answer`: the same normalised text; `ngram13`: at least half of the answer's
    13-grams (an answer of fewer words has none, and does not count).
    """
    rates = {}
    for column in ("question", "answer"):
        known = set(train[column].map(normalised))
        rates[column] = float(test[column].map(normalised).isin(known).mean())
    answers = [normalised(text) for text in (*train["answer"], *test["answer"])]
    rows, grams = _ngrams(answers, LEAK_WORDS)
    of_test = rows >= len(train)
    found = np.isin(grams[of_test], grams[~of_test])
    shares = _share_per_row(rows[of_test] - len(train), found, len(test))
    rates["ngram13"] = float((shares >= LEAK_SHARE).mean())
    return rates


def _same(keys: pd.Series) -> Edges:
    """Links each row to the next one that has the same key."""
    rows = keys.index.to_numpy(np.int64)
    codes = pd.factorize(keys)[0]
    order = np.argsort(codes, kind="stable")
    equal = codes[order][1:] == codes[order][:-1]
    return rows[order[:-1][equal]], rows[order[1:][equal]]


def _shared_ngrams(answers: Sequence[str]) -> Edges:
    rows, grams = _ngrams(answers, LEAK_WORDS)
    order = np.lexsort((rows, grams))
    rows, grams = rows[order], grams[order]
    run = np.cumsum(np.diff(grams, prepend=grams[:1]) != 0)
    shared = (np.bincount(run) > 1)[run] if len(run) else np.zeros(0, bool)
    mostly_shared = _share_per_row(rows, shared, len(answers)) >= LEAK_SHARE
    binding = np.zeros(run.max() + 1 if len(run) else 0, bool)
    binding[run[mostly_shared[rows]]] = True
    equal = (np.diff(run) == 0) & binding[run[1:]]
    return rows[:-1][equal], rows[1:][equal]


def _near_duplicates(answers: Sequence[str], similarity: float, labels: Array) -> Edges:
    """Pairs of rows in different components, found by MinHash, kept by their exact similarity."""
    rows, grams = _ngrams(answers, SHINGLE_WORDS)
    offsets = np.searchsorted(rows, np.arange(len(answers) + 1))
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        grams, offsets.astype(np.uint64), PERMUTATIONS, 0
    )
    digests = np.array(matrix.to_rows(), dtype=np.uint32)
    present = np.flatnonzero(np.diff(offsets) > 0)
    left, right = _candidates(digests, _band_rows(similarity), present, labels)
    likely = (digests[left] == digests[right]).mean(axis=1) >= similarity - ESTIMATE_MARGIN
    left, right = left[likely], right[likely]

    def jaccard(a: int, b: int) -> float:
        one, other = (grams[offsets[row] : offsets[row + 1]] for row in (a, b))
        shared = len(np.intersect1d(one, other, assume_unique=True))
        return shared / (len(one) + len(other) - shared)

    kept = [jaccard(a, b) >= similarity for a, b in zip(left, right, strict=True)]
    return left[kept], right[kept]


def _band_rows(similarity: float) -> int:
    """The widest band with which MinHash finds FOUND_SHARE of the pairs of this similarity."""
    for rows in range(16, 1, -1):
        if 1 - (1 - similarity**rows) ** (PERMUTATIONS // rows) >= FOUND_SHARE:
            return rows
    return 1


def _candidates(digests: Array, band_rows: int, present: Array, labels: Array) -> Edges:
    """Pairs of different components that agree in a whole band; a large bucket is a chain."""
    pairs = []
    for start in range(0, PERMUTATIONS - band_rows + 1, band_rows):
        part = digests[present, start : start + band_rows]
        keys = np.ascontiguousarray(part).view(f"V{4 * band_rows}").ravel()
        codes = np.unique(keys, return_inverse=True)[1]
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        for bucket in np.split(present[order], starts[1:]):
            if 1 < len(bucket) <= LARGE_BUCKET:
                pairs.append(bucket[np.stack(np.triu_indices(len(bucket), 1))])
            elif len(bucket) > LARGE_BUCKET:
                pairs.append(np.stack([bucket[:-1], bucket[1:]]))
    found = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
    found = found[:, labels[found[0]] != labels[found[1]]]
    left, right = np.unique(found, axis=1)
    return left, right


def _ngrams(texts: Sequence[str], n: int) -> tuple[Array, Array]:
    """The distinct word n-grams of each text as 64-bit hashes: rows (ascending) and hashes."""
    words = [text.split() for text in texts]
    counts = np.array([len(row) for row in words], dtype=np.int64)
    rows = np.repeat(np.arange(len(texts)), counts)
    flat = pd.Series([word for row in words for word in row], dtype=object)
    hashes = pd.util.hash_array(flat.to_numpy(), categorize=True)
    if len(rows) < n:
        return rows[:0], hashes[:0]
    grams = np.zeros(len(rows) - n + 1, dtype=np.uint64)
    for offset in range(n):
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + hashes[offset : len(rows) - n + 1 + offset]
    whole = rows[: len(grams)] == rows[n - 1 :]
    distinct = pd.DataFrame({"row": rows[: len(grams)][whole], "gram": grams[whole]})
    distinct = distinct.drop_duplicates()
    return distinct["row"].to_numpy(), distinct["gram"].to_numpy()


def _share_per_row(rows: Array, flags: Array, count: int) -> Array:
    """Share of flagged entries per row; 0 for a row without entries."""
    total = np.bincount(rows, minlength=count)
    return np.bincount(rows, weights=flags, minlength=count) / np.maximum(total, 1)


def _components(count: int, edges: Sequence[Edges]) -> Array:
    left = np.concatenate([edge[0] for edge in edges]).astype(np.int64)
    right = np.concatenate([edge[1] for edge in edges]).astype(np.int64)
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
