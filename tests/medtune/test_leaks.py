import random
import time

import pandas as pd
import pytest

from medtune.leaks import groups, leak_rates, normalised

WORDS = [f"word{number}" for number in range(500)]


def records(*cards: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(cards, columns=["question", "answer", "topic"])


def together(table: pd.DataFrame, similarity: float = 0.8) -> list[list[int]]:
    labels = groups(table, similarity)
    members = pd.Series(range(len(table))).groupby(labels).apply(list)
    return sorted(rows for rows in members if len(rows) > 1)


def text(seed: int, words: int = 40) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_normalised_text_ignores_case_spacing_and_punctuation() -> None:
    assert normalised("  What IS\u00a0gout? ") == normalised("what is gout") == "what is gout"
    assert normalised("5 µg of β-carotene") == "5 μg of β carotene"


def test_one_topic_question_or_answer_ties_cards_together() -> None:
    table = records(
        ("What is gout?", "A joint disease.", ""),
        ("what is GOUT", "Something else.", ""),
        ("Define gout.", "a joint disease", ""),
        ("Where?", "Here.", "place"),
        ("When?", "Now.", "place"),
        ("Who?", "Me.", ""),
    )
    assert together(table) == [[0, 1, 2], [3, 4]]


def test_cards_without_a_topic_do_not_share_one() -> None:
    assert together(records(("a?", "one thing", ""), ("b?", "another matter", ""))) == []


def test_texts_without_a_letter_are_equal_texts() -> None:
    assert together(records(("???", "one thing", ""), ("!", "another matter", ""))) == [[0, 1]]


def test_near_duplicates_are_found_and_judged_by_their_exact_similarity() -> None:
    answer = text(1).split()
    edited = [*answer[:20], "changed", *answer[21:]]  # shares 35 of 41 trigrams: 0.85
    table = records(("q1", " ".join(answer), ""), ("q2", " ".join(edited), ""), ("q3", text(2), ""))
    assert together(table, similarity=0.8) == [[0, 1]]
    assert together(table, similarity=0.8) == together(table, similarity=0.85)
    short = records(("q1", "a b c d e", ""), ("q2", "a b c d f", ""))
    assert together(short, similarity=0.8) == []
    assert together(short, similarity=0.5) == [[0, 1]]


def test_half_of_the_13_grams_in_other_answers_ties_a_card_to_them() -> None:
    first, second = text(3, 30), text(4, 30)
    mixed = f"{first} {second}"
    assert together(records(("q1", first, ""), ("q2", second, ""), ("q3", mixed, ""))) == [
        [0, 1, 2]
    ]
    mostly_new = f"{' '.join(first.split()[:14])} {text(5, 60)}"
    assert together(records(("q1", f"{first} {text(6, 60)}", ""), ("q3", mostly_new, ""))) == []


def test_leak_rates_count_test_cards_whose_text_stands_in_train() -> None:
    shared = text(7, 30)
    train = records(("What is gout?", shared, ""), ("Other?", "Nothing in common here.", ""))
    test = records(
        ("what is gout", "New.", ""),
        ("New?", f"{shared} and more", ""),
        ("Newer?", "nothing in common here", ""),
        ("Newest?", text(8, 30), ""),
    )
    assert leak_rates(train, test) == {"question": 0.25, "answer": 0.25, "ngram13": 0.25}


def test_groups_never_leak_whatever_the_cards_share() -> None:
    chooser = random.Random(0)
    sentences = [text(seed, 9) for seed in range(60)]
    table = records(
        *((f"q{i % 90}", " ".join(chooser.choices(sentences, k=3)), "") for i in range(120))
    )
    labels = groups(table, 0.8)
    for held_out in sorted(set(labels))[:20]:
        rates = leak_rates(table[labels != held_out], table[labels == held_out])
        assert not any(rates.values())


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_and_very_short_cards_are_no_problem(count: int) -> None:
    table = records(*[("?", "a", "")] * count)
    assert len(groups(table, 0.8)) == count


def test_ten_thousand_cards_take_seconds() -> None:
    table = records(*((f"question {i}", text(i, 25), f"topic {i % 700}") for i in range(10_000)))
    start = time.process_time()
    groups(table, 0.8)
    assert time.process_time() - start < 20
