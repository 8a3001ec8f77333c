import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.gradio_page.nearest_cards import CLOSE, SHOWN, NearestCards

CARDS = [
    ("What is gout?", "A disease with urate crystals in a joint."),
    ("How is Marfan syndrome inherited?", "Marfan syndrome is autosomal dominant."),
    ("How is Cowden syndrome inherited?", "Cowden syndrome is autosomal dominant."),
    ("What is arachnodactyly?", "Long, slender fingers."),
]


@pytest.fixture(scope="module")
def nearest_cards() -> NearestCards:
    return NearestCards(CARDS)


def test_the_nearest_cards_come_best_first(nearest_cards: NearestCards) -> None:
    found = nearest_cards.nearest("How is Marfan syndrome inherited, please?")
    assert found[0].question == CARDS[1][0] and found[0].answer == CARDS[1][1]
    scores = [card.score for card in found]
    assert scores == sorted(scores, reverse=True) and scores[-1] >= CLOSE and scores[0] < 1
    assert nearest_cards.nearest("what is GOUT")[0].score == pytest.approx(1)


def test_a_card_counts_by_its_answer_too(nearest_cards: NearestCards) -> None:
    assert [card.question for card in nearest_cards.nearest("slender fingers")] == [CARDS[3][0]]


@pytest.mark.parametrize("question", ["What is the capital of France?", "", "?", "痛风", "the of"])
def test_a_question_about_something_else_has_no_close_card(
    nearest_cards: NearestCards, question: str
) -> None:
    assert nearest_cards.nearest(question) == []


def test_rare_words_count_more_than_common_ones(nearest_cards: NearestCards) -> None:
    (first, *_) = nearest_cards.nearest("gout syndrome")
    assert first.question == CARDS[0][0]
    assert nearest_cards.nearest("zebrafish habitats syndrome") == []


def test_at_most_three_are_shown() -> None:
    cards = [(f"What is gout {n}?", "A disease.") for n in range(9)]
    assert len(NearestCards(cards).nearest("gout disease")) == SHOWN == 3


def test_cards_are_read_from_a_split_and_a_missing_one_has_none(tmp_path: Path) -> None:
    table = pa.table({"question": ["What is gout?"], "answer": ["A disease."], "kind": ["x"]})
    pq.write_table(table, tmp_path / "train.parquet")
    assert len(NearestCards.load(tmp_path / "train.parquet").nearest("gout")) == 1
    assert NearestCards.load(tmp_path / "none.parquet").nearest("gout") == []


@pytest.mark.slow
def test_thousands_of_cards_are_indexed_in_no_time() -> None:
    cards = [(f"What is disease {n}?", f"A disorder of organ {n % 70}.") for n in range(2_000)]
    start = time.process_time()
    NearestCards(cards).nearest("disease 77")
    assert time.process_time() - start < 2
