import random
from collections import Counter
from itertools import islice
from pathlib import Path
from string import ascii_lowercase

import pytest

from benchmarks.cards import (
    COMMON_WORDS,
    DIRT,
    RATES,
    Card,
    edited,
    make_cards,
    read_cards,
    write_cards,
)
from medtune.cards.cleaning import RULES, clean_text

SIZE = 4000


def word(number: int) -> str:
    """Returns a different word for each number."""
    return "".join(random.Random(number).choices(ascii_lowercase, k=10))


@pytest.fixture(scope="module")
def real() -> list[Card]:
    """300 cards of 100 topics, with made-up words beside 200 common ones."""
    common = [f"the{word(n)}" for n in range(COMMON_WORDS)]
    return [
        Card(
            f"What is {word(n)}?",
            " ".join([*common[:12], *(word(40 * n + k) for k in range(n % 30))]),
            "definition",
            f"topic {n // 3}",
        )
        for n in range(1, 301)
    ]


@pytest.fixture(scope="module")
def made(real: list[Card]) -> list[Card]:
    return list(make_cards(real, SIZE, seed=1))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_cards_and_fewer_are_the_beginning(
    real: list[Card], made: list[Card]
) -> None:
    assert list(make_cards(real, SIZE // 2, seed=1)) == made[: SIZE // 2]
    assert list(islice(make_cards(real, SIZE, seed=2), 50)) != made[:50]


@pytest.mark.slow
def test_copies_boilerplate_and_dirt_come_at_their_rates(
    real: list[Card], made: list[Card]
) -> None:
    boilerplate = {card.answer for card in real if len(card.answer.split()) > 20}
    pairs = Counter((card.question, card.answer) for card in made)
    found = {
        "exact_copy": sum(count - 1 for count in pairs.values()),
        "near_copy": sum(card.topic == "" for card in made),
        "boilerplate": sum(card.answer in boilerplate for card in made),
        "empty": sum(card.answer == " " for card in made),
    }
    for name, count in found.items():
        # Four standard deviations of a binomial distribution, at most.
        assert abs(count / SIZE - RATES[name]) < 4 * (RATES[name] / SIZE) ** 0.5, name


@pytest.mark.slow
def test_questions_of_different_generations_differ_and_topics_keep_their_size(
    made: list[Card],
) -> None:
    questions = Counter(card.question for card in made)
    repeated = sum(count - 1 for count in questions.values()) / SIZE
    planted = RATES["exact_copy"] + RATES["same_question"]
    assert abs(repeated - planted) < 0.02
    topics = Counter(card.topic for card in made if card.topic)
    assert Counter(topics.values()).most_common(1)[0][0] in (2, 3)


@pytest.mark.parametrize("dirty", DIRT)
def test_clean_repairs_all_dirt(dirty: object) -> None:
    assert callable(dirty)
    text = "An abnormality of the bone."
    repaired, rules = clean_text(dirty(text), RULES)
    assert rules and repaired is not None and repaired.strip("“”") == text


def test_an_edit_changes_a_tenth_of_the_words_at_most() -> None:
    draw = random.Random(0)
    text = " ".join(map(word, range(40)))
    unchanged = 0
    for _ in range(200):
        words = edited(text, draw).split()
        kept = sum(word in words for word in text.split())
        assert 36 <= kept <= 40 and 36 <= len(words) <= 44
        unchanged += words == text.split()
    assert unchanged < 3, "only where a word replaces itself"
    assert edited("too short to edit", draw) == "too short to edit"


@pytest.mark.slow
def test_cards_survive_the_file(made: list[Card], tmp_path: Path) -> None:
    write_cards(tmp_path / "raw/cards.parquet", iter(made[:70]))
    assert read_cards(tmp_path / "raw/cards.parquet") == made[:70]
