import random
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

from medtune.splits import text_hashes
from medtune.splits.leaks import LEAK_WORDS
from medtune.splits.text_hashes import hash_text, read_texts


def table(*answers: str) -> pa.Table:
    count = len(answers)
    questions = [f"Question {number}?" for number in range(count)]
    return pa.table({"question": questions, "answer": answers, "topic": [""] * count})


def test_a_record_has_the_hashes_of_its_texts() -> None:
    columns = {"topic": ["Gout", ""], "question": ["What?", "WHAT"], "answer": ["", "..."]}
    texts = read_texts(dataset(pa.table(columns)))
    assert texts.topic.tolist() == [hash_text("gout"), 0]
    assert texts.question.tolist() == [hash_text("what")] * 2
    assert texts.answer.tolist() == [hash_text("")] * 2


def test_shingles_are_the_distinct_word_pairs_between_marks() -> None:
    texts = read_texts(dataset(table("a b a b", "b a", "", "a")))
    sets = [
        set(texts.shingles[a:b]) for a, b in zip(texts.offsets, texts.offsets[1:], strict=False)
    ]
    assert [len(pairs) for pairs in sets] == [4, 3, 1, 2]  # ^a ab ba b$ · ^b ba a$ · ^$ · ^a a$
    assert [len(sets[0] & other) for other in sets] == [4, 1, 0, 1]
    assert np.diff(texts.offsets).tolist() == [4, 3, 1, 2]


def test_only_13_grams_of_several_answers_are_numbered() -> None:
    words = [f"w{number}" for number in range(20)]
    answers = (" ".join(words), " ".join(words[:14]), " ".join(words[3:16]), " ".join(words[:12]))
    texts = read_texts(dataset(table(*answers)))
    assert texts.ngram_counts.tolist() == [20 - LEAK_WORDS + 1, 2, 1, 0]
    entries = list(zip(texts.ngrams.tolist(), texts.ngram_rows.tolist(), strict=True))
    by_number = sorted([row for number, row in entries if number == n] for n in range(3))
    assert by_number == [[0, 1], [0, 1], [0, 2]] and len(entries) == 6


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = random.Random(0)
    words = [f"word{number}" for number in range(30)]
    cards = table(*(" ".join(chooser.choices(words, k=chooser.randrange(40))) for _ in range(101)))
    whole = read_texts(dataset(cards))
    monkeypatch.setattr(text_hashes, "CHUNK_RECORDS", 7)
    chunked = read_texts(dataset(cards))
    for name in vars(whole):
        assert np.array_equal(getattr(whole, name), getattr(chunked, name)), name


@pytest.mark.slow
def test_reading_takes_little_memory_beside_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_hashes, "CHUNK_RECORDS", 20)
    records = dataset(table(*(f"Answer {number}." for number in range(800))))
    tracemalloc.start()
    try:
        texts = read_texts(records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * sum(array.nbytes for array in vars(texts).values())
