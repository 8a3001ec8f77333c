import pyarrow as pa
from pyarrow.dataset import dataset

from medtune.splits.leaks import LEAK_WORDS
from medtune.splits.text_reading import read_texts


def test_only_13_grams_of_several_answers_are_numbered() -> None:
    words = [f"w{number}" for number in range(20)]
    answers = (" ".join(words), " ".join(words[:14]), " ".join(words[3:16]), " ".join(words[:12]))
    columns = {"question": answers, "answer": answers, "topic": [""] * len(answers)}
    texts = read_texts(dataset(pa.table(columns)))
    assert texts.ngram_counts.tolist() == [20 - LEAK_WORDS + 1, 2, 1, 0]
    entries = list(zip(texts.ngrams.tolist(), texts.ngram_rows.tolist(), strict=True))
    by_number = sorted([row for number, row in entries if number == n] for n in range(3))
    assert by_number == [[0, 1], [0, 1], [0, 2]] and len(entries) == 6
