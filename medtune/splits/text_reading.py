"""Reads the texts of all records, normalised, and hashes them: whole, as shingles and as n-grams.

A record with a `history` is a conversation. Each of its earlier answers, with its question, is a
separate turn, beside the record's question and answer.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import Dataset

from medtune.runtime.progress import progress
from medtune.splits.leaks import LEAK_WORDS
from medtune.splits.near_duplicates import PERMUTATIONS, compared_text, normalised, shingles_of
from medtune.splits.ngrams import distinct_ngrams, in_several
from medtune.splits.text_hashes import Array, TextHashes
from medtune.splits.topic_spellings import same_for_spellings

CHUNK_RECORDS = 20_000
EARLIER = pa.schema(  # earlier turns of conversations
    [("record", pa.int64()), *((name, pa.string()) for name in ("topic", "question", "answer"))]
)


def hash_text(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def read_texts(records: Dataset) -> TextHashes:
    """Hashes `topic`, `question` and `answer` of the records and of earlier turns in `history`.

    CHUNK_RECORDS turns are read at a time, so that the texts are never all in memory.
    """
    earlier = EARLIER.empty_table()
    if "history" in records.schema.names:
        earlier = pa.Table.from_pylist(list(earlier_turns(records)), EARLIER)
    numbers = np.concatenate([np.arange(records.count_rows()), earlier["record"].to_numpy()])
    batches = chain(
        _chunks(records, ["topic", "question", "answer"]),
        earlier.drop("record").to_batches(max_chunksize=CHUNK_RECORDS),
    )
    digests = np.empty((len(numbers), PERMUTATIONS), np.uint32)  # the largest array: made once
    parts: list[list[Array]] = []
    read = 0
    with progress(total=len(numbers), unit="turn", description="reading") as bar:
        for batch in batches:
            *hashed, digests[read : read + len(batch)] = _read(batch)
            parts.append(hashed)
            read += len(batch)
            bar.update(len(batch))
    columns = list(zip(*parts, strict=True))
    del parts
    # The chunks of a column are freed before the next column is joined.
    joined = [np.concatenate(columns.pop(0)) for _ in range(len(columns))]
    topic, topic_name, question, answer, counts, shingles, ngram_counts, grams = joined
    offsets = np.concatenate([[0], np.cumsum(counts)])
    ngrams, ngram_rows = in_several(ngram_counts, grams)
    hashes = (topic, topic_name, question, answer, shingles, offsets, digests, ngram_counts)
    return TextHashes(numbers, *hashes, ngrams, ngram_rows)


def _chunks(records: Dataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Reads one chunk ahead: more would wait in memory, because hashing is slower than reading."""
    return records.to_batches(columns=columns, batch_size=CHUNK_RECORDS, batch_readahead=1)


def earlier_turns(records: Dataset) -> Iterator[dict[str, Any]]:
    """Yields a row of EARLIER for each earlier answer.

    Its question is what the user said since the answer before. Texts of fewer than LEAK_WORDS words
    ("How long?", "Thank you!") are in many conversations that have nothing else in common. A word
    that no other turn has stands for them.
    """
    batches = _chunks(records, ["topic", "history"])
    rows = (row for batch in batches for row in batch.to_pylist())
    for number, row in enumerate(rows):
        asked: list[str] = []
        for place, message in enumerate(row["history"] or ()):
            if message["role"] == "user":
                asked.append(message["content"])
            elif message["role"] == "assistant":
                question, answer = (
                    text if len(normalised(text).split()) >= LEAK_WORDS else f"_{number}_{place}"
                    for text in ("\n".join(asked), message["content"])
                )
                topic = row["topic"]
                yield {"record": number, "topic": topic, "question": question, "answer": answer}
                asked = []


def _read(batch: pa.RecordBatch) -> tuple[Array, ...]:
    topics, questions, answers = (
        [normalised(text) for text in column.to_pylist()] for column in batch.columns
    )
    topic = np.array([hash_text(text) if text else 0 for text in topics], np.uint64)
    topic_name = _hash_all([same_for_spellings(text) for text in topics])
    question, answer = (_hash_all(texts) for texts in (questions, answers))
    split = pc.split_pattern(pa.array(list(map(compared_text, answers))), " ")
    words = split.values.dictionary_encode()
    hashes = _hash_all(words.dictionary.to_pylist())[words.indices.to_numpy()]
    offsets = split.offsets.to_numpy().astype(np.int64)
    starts, stops = offsets[:-1], offsets[1:]
    counts, shingles, digests = shingles_of(hashes, starts, stops)
    ngram_counts, grams = distinct_ngrams(hashes, starts + 1, stops - 1, LEAK_WORDS)
    return topic, topic_name, question, answer, counts, shingles, ngram_counts, grams, digests


def _hash_all(texts: Sequence[str]) -> Array:
    return np.array([hash_text(text) for text in texts], np.uint64)
