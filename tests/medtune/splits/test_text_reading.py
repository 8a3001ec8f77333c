import random
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

from medtune.splits import text_reading
from medtune.splits.text_reading import hash_text, read_texts


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


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = random.Random(0)
    words = [f"word{number}" for number in range(30)]
    cards = table(*(" ".join(chooser.choices(words, k=chooser.randrange(40))) for _ in range(101)))
    whole = read_texts(dataset(cards))
    monkeypatch.setattr(text_reading, "CHUNK_RECORDS", 7)
    chunked = read_texts(dataset(cards))
    for name in vars(whole):
        assert np.array_equal(getattr(whole, name), getattr(chunked, name)), name


@pytest.mark.slow
def test_reading_takes_little_memory_beside_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_reading, "CHUNK_RECORDS", 20)
    records = dataset(table(*(f"Answer {number}." for number in range(800))))
    tracemalloc.start()
    try:
        texts = read_texts(records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * sum(array.nbytes for array in vars(texts).values())
