import itertools
import random

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

from medtune.splits.near_duplicates import candidates, normalised, similar
from medtune.splits.text_hashes import TextHashes
from medtune.splits.text_reading import read_texts

WORDS = [f"word{number}" for number in range(500)]


def texts(*answers: str) -> TextHashes:
    empty = [""] * len(answers)
    return read_texts(dataset(pa.table({"question": empty, "answer": answers, "topic": empty})))


def pairs(read: TextHashes, similarity: float) -> set[tuple[int, ...]]:
    found: set[tuple[int, ...]] = set()
    for band in candidates(read, similarity, np.arange(len(read))):
        kept = np.stack(similar(read, band, similarity), axis=1)
        found |= {tuple(sorted(pair)) for pair in kept.tolist()}
    return found


def word_pairs(answer: str) -> set[tuple[str, str]]:
    words = ["^", *answer.split(), "$"]
    return set(itertools.pairwise(words))


def test_normalised_text_ignores_case_spacing_and_punctuation() -> None:
    assert normalised("  What IS\u00a0gout? ") == normalised("what is gout") == "what is gout"
    assert normalised("5 µg of β-carotene") == "5 μg of β carotene"


def test_a_chinese_or_japanese_character_is_a_word() -> None:
    assert normalised("痛风是什么?") == "痛 风 是 什 么"
    assert normalised("IgA腎症とは") == "iga 腎 症 と は"


def test_shingles_are_the_distinct_word_pairs_between_marks() -> None:
    read = texts("a b a b", "b a", "", "a")
    sets = [set(read.shingles[a:b]) for a, b in zip(read.offsets, read.offsets[1:], strict=False)]
    assert [len(pairs) for pairs in sets] == [4, 3, 1, 2]  # ^a ab ba b$ · ^b ba a$ · ^$ · ^a a$
    assert [len(sets[0] & other) for other in sets] == [4, 1, 0, 1]
    assert np.diff(read.offsets).tolist() == [4, 3, 1, 2]


@pytest.mark.slow
def test_near_duplicates_are_judged_by_their_exact_similarity() -> None:
    read = texts("a b c d e f", "a b c d e g", "h i j k l m")  # 5 of 9 word pairs shared
    assert pairs(read, 5 / 9) == {(0, 1)}
    assert pairs(read, 5 / 9 + 1e-9) == set()


@pytest.mark.slow
def test_of_all_pairs_98_percent_are_found_and_no_other() -> None:
    chooser = random.Random(0)
    answers = []
    for _ in range(150):
        answer = chooser.choices(WORDS, k=chooser.randrange(12, 40))
        answers.append(" ".join(answer))
        for _ in range(3):
            answer = [w if chooser.random() < 0.93 else chooser.choice(WORDS) for w in answer]
            answers.append(" ".join(answer))
    sets = [word_pairs(answer) for answer in answers]
    wanted = {
        (a, b)
        for b in range(len(sets))
        for a in range(b)
        if len(sets[a] & sets[b]) >= 0.67 * len(sets[a] | sets[b])
    }
    found = pairs(texts(*answers), 0.67)
    assert len(wanted) > 300
    assert found <= wanted
    assert len(found) >= 0.98 * len(wanted)


@pytest.mark.slow
def test_pairs_are_found_among_thousands_of_one_template() -> None:
    chooser = random.Random(1)
    template = "follows an autosomal recessive pattern of inheritance in most families"
    names = [" ".join(chooser.choices(WORDS, k=8)) for _ in range(3000)]
    answers = [f"{name} {template}" for name in names]
    copies = [answer.replace("most", "many") for answer in answers[::30]]
    found = pairs(texts(*answers, *copies), 0.67)
    planted = {(30 * number, 3000 + number) for number in range(100)}
    assert len(found & planted) >= 95


@pytest.mark.slow
def test_large_blocks_of_pairs_are_judged_like_small_ones() -> None:
    read = texts("a b c d e f", "a b c d e g", "h i j k l m")
    left, right = (np.tile(side, 40_000) for side in ([0, 0], [1, 2]))
    kept = similar(read, (left, right), 0.5)
    assert [set(side.tolist()) for side in kept] == [{0}, {1}] and len(kept[0]) == 40_000
