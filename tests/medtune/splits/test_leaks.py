import random

import numpy as np
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

from medtune.splits.leaks import leak_rates, shared_text
from medtune.splits.text_hashes import TextHashes
from medtune.splits.text_reading import read_texts

WORDS = [f"word{number}" for number in range(500)]


def texts(*cards: tuple[str, str]) -> TextHashes:
    questions, answers = zip(*cards, strict=True)
    return read_texts(
        dataset(pa.table({"question": questions, "answer": answers, "topic": [""] * len(cards)}))
    )


def text(seed: int, words: int = 30) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def shared(splits: list[str], *cards: tuple[str, str]) -> list[tuple[str, int]]:
    among = np.ones(len(cards), bool)
    reasons, partners = shared_text(texts(*cards), np.array(splits), among, 0.67)
    return list(zip(reasons.tolist(), partners.tolist(), strict=True))


def test_leak_rates_count_held_out_cards_whose_text_is_known() -> None:
    known_text = text(7)
    read = texts(
        ("What is gout?", known_text),
        ("Other?", "Nothing in common here."),
        ("what is gout", "New."),
        ("New?", f"{known_text} and more"),
        ("Newer?", "nothing in common here"),
        ("Newest?", text(8)),
        ("Neither?", known_text),
    )
    known, held = np.zeros((2, 7), bool)
    known[:2], held[2:6] = True, True
    assert leak_rates(read, known, held) == {"question": 0.25, "answer": 0.25, "ngram13": 0.25}


def test_half_of_the_13_grams_may_be_in_several_known_answers() -> None:
    first, second = text(1, 20), text(2, 20)
    read = texts(
        ("a", f"{first} {text(3)}"), ("b", f"{second} {text(4)}"), ("c", f"{first} {second}")
    )
    held = np.array([False, False, True])
    assert leak_rates(read, ~held, held)["ngram13"] == 1
    assert leak_rates(read, np.array([True, False, False]), held)["ngram13"] == 0


@pytest.mark.slow
def test_the_first_split_keeps_a_text_and_each_later_record_names_it() -> None:
    first, second = text(1, 40), text(2, 20)
    near = second.replace(second.split()[10], "changed")
    cards = [
        ("What is gout?", "A disease."),
        ("Is it inherited?", "It is autosomal dominant."),
        ("q2", first),
        ("q3", second),
        ("what is gout", "Something else."),
        ("q5", "it is autosomal dominant"),
        ("q6", " ".join([*first.split()[:30], text(5, 8)])),
        ("q7", near),
        ("q8", text(6)),
    ]
    assert shared(["train"] * 4 + ["test"] * 5, *cards)[4:] == [
        ("question", 0),
        ("answer", 1),
        ("ngram13", 2),
        ("near_duplicate", 3),
        ("", -1),
    ]
    assert {reason for reason, _ in shared(["test"] * 9, *cards)} == {""}


def test_what_shares_text_only_with_a_record_left_out_stays() -> None:
    first, second = text(1, 40), text(2, 26)
    chain = [("a", first), ("b", f"{first} {second}"), ("c", second)]
    reasons = [reason for reason, _ in shared(["train", "validation", "test"], *chain)]
    assert reasons == ["", "ngram13", ""]
    reasons = [reason for reason, _ in shared(["train", "train", "test"], *chain)]
    assert reasons == ["", "", "ngram13"]


def test_each_copy_of_a_near_duplicate_is_left_out() -> None:
    answer = text(9)
    near = answer.replace(answer.split()[10], "changed").replace(answer.split()[20], "again")
    cards = [("a", answer), *((f"q{n}", near) for n in range(50)), ("b", text(10))]
    found = shared(["train"] + ["test"] * 51, *cards)
    assert found[1:51] == [("near_duplicate", 0)] * 50 and found[51] == ("", -1)


def test_a_conversation_is_left_out_if_one_of_its_turns_is_known() -> None:
    known, asked = text(1, 40), text(2, 13)

    def record(question: str, answer: str, *history: str) -> dict[str, object]:
        roles = ("user", "assistant") * len(history)
        said = [{"role": r, "content": c} for r, c in zip(roles, history, strict=False)]
        return {"topic": "", "question": question, "answer": answer, "history": said}

    read = read_texts(
        dataset(
            pa.Table.from_pylist(
                [
                    record("a", "b", "c", "d", "e", known),
                    record("f", "g", asked, "h"),
                    record("i", known),
                    record("j", "k", "l", "m", "n", f"{known} {text(3, 10)}"),
                    record("o", "p", asked, "q"),
                    record("r", "s", "t", known.replace(known.split()[20], "changed")),
                    record("u", "v", "c", "d"),
                ]
            )
        )
    )
    splits = np.array(["train"] * 2 + ["test"] * 5)
    reasons, partners = shared_text(read, splits, np.ones(7, bool), 0.67)
    assert reasons[2:].tolist() == ["answer", "ngram13", "question", "near_duplicate", ""]
    assert partners[2:].tolist() == [0, 0, 1, 0, -1]
    train = splits == "train"
    rates = leak_rates(read, train, ~train)
    assert rates == {"question": 0.2, "answer": 0.2, "ngram13": 0.4}
