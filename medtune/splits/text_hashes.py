"""The texts of all records, as hashes that can be compared."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class TextHashes:
    """Hashes of the normalised texts of n turns, of 64 bits each unless noted.

    The first turns are those that the records end with, in the order of the records. Earlier turns
    follow; without conversations there are none.
    """

    records: Array  # (n,): the number of each turn's record
    topic: Array  # (n,), 0 if there is none
    topic_name: Array  # (n,): the same for all spellings of a topic
    question: Array  # (n,)
    answer: Array  # (n,)
    shingles: Array  # the distinct shingles of the answers, turn by turn
    offsets: Array  # (n + 1,): turn i has shingles[offsets[i] : offsets[i + 1]]
    digests: Array  # (n, PERMUTATIONS) uint32, MinHash of the shingles
    ngram_counts: Array  # (n,): distinct 13-grams of the answer
    ngrams: Array  # (entries,): numbers, from 0, of the 13-grams that several answers share …
    ngram_rows: Array  # (entries,): … and the turn of each entry, ascending per number

    def __len__(self) -> int:
        return len(self.answer)

    @property
    def record_count(self) -> int:
        return int(self.records.max(initial=-1)) + 1
