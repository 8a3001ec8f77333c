"""Groups the records that must stay together in one split."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from medtune.runtime.progress import progress
from medtune.splits.leaks import LEAK_SHARE
from medtune.splits.near_duplicates import Pairs, candidates, similar
from medtune.splits.text_hashes import Array, TextHashes


def components(texts: TextHashes, similarity: float) -> Array:
    """Returns the connected component of each record, numbered from 0.

    Records are linked if they have the same topic, in any spelling, the same normalised question or
    answer, or answers whose sets of shingles have a Jaccard similarity of at least `similarity`. If
    other answers have at least half of a record's 13-grams, it is linked to all of them. The turns
    of a conversation are compared one by one, and each links its record.
    """
    labels = _strong_parts(texts)
    labels = _merged(labels, _same(texts.answer))
    labels = _merged(labels, _shared_ngrams(texts))
    rows = np.unique(texts.answer, return_index=True)[1]
    bands = candidates(texts, similarity, rows)
    with progress(bands, unit="band", description="near-duplicates") as bar:
        for left, right in bar:
            apart = labels[left] != labels[right]
            labels = _merged(labels, similar(texts, (left[apart], right[apart]), similarity))
    return labels[: texts.record_count]


def strong_parts(texts: TextHashes) -> Array:
    """Returns each record's component over topics and questions alone, numbered from 0."""
    return _strong_parts(texts)[: texts.record_count]


def without_boilerplate(texts: TextHashes, labels: Array, limit: float) -> Array:
    """Cuts each component of more than `limit` records into its strong parts."""
    large = np.bincount(labels)[labels] > limit
    return np.where(large, labels.max() + 1 + strong_parts(texts), labels)


def group_names(texts: TextHashes, labels: Array) -> pd.Series:
    """Names each group after the topic of its first record, so that new cards keep the name.

    For a record without a topic, its question is used.
    """
    keys = np.where(texts.topic != 0, texts.topic, texts.question)[: texts.record_count]
    codes, names = pd.factorize(pd.Series(keys).groupby(labels).transform("first"))
    return pd.Series(np.array([f"{name:016x}" for name in names], dtype=object)[codes])


def _strong_parts(texts: TextHashes) -> Array:
    """Returns the component of each turn; the turns of a record are in one from the beginning."""
    labels = _merged(texts.records, _same(texts.question))
    return _merged(labels, _same(texts.topic_name, texts.topic != 0))


def _same(keys: Array, present: Array | None = None) -> Pairs:
    """Links each turn to the next one that has the same key."""
    rows = np.arange(len(keys)) if present is None else np.flatnonzero(present)
    rows = rows[np.argsort(keys[rows], kind="stable")]
    equal = keys[rows][1:] == keys[rows][:-1]
    return rows[:-1][equal], rows[1:][equal]


def _shared_ngrams(texts: TextHashes) -> Pairs:
    shared = np.bincount(texts.ngram_rows, minlength=len(texts))
    mostly_shared = (shared > 0) & (shared >= LEAK_SHARE * texts.ngram_counts)
    binding = np.zeros(texts.ngrams.max(initial=-1) + 1, bool)
    binding[texts.ngrams[mostly_shared[texts.ngram_rows]]] = True
    equal = (np.diff(texts.ngrams) == 0) & binding[texts.ngrams[1:]]
    return texts.ngram_rows[:-1][equal], texts.ngram_rows[1:][equal]


def _merged(labels: Array, pairs: Pairs) -> Array:
    """Returns the labels, renumbered from 0, after merging the components of each pair."""
    left, right = (labels[rows] for rows in pairs)
    count = labels.max(initial=-1) + 1
    graph = coo_array((np.ones(len(left), bool), (left, right)), shape=(count, count))
    return connected_components(graph, directed=False)[1][labels]
