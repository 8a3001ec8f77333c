import random
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow.dataset import dataset

from medtune.config.loading import load_params
from medtune.splits.groups import components, group_names, strong_parts, without_boilerplate
from medtune.splits.leaks import leak_rates
from medtune.splits.near_duplicates import normalised
from medtune.splits.text_hashes import TextHashes
from medtune.splits.text_reading import hash_text, read_texts

WORDS = [f"word{number}" for number in range(2000)]
SIMILARITY = load_params("split.near_duplicate_similarity")

Cards = list[tuple[str, str, str]]


def texts(cards: Cards) -> TextHashes:
    return read_texts(
        dataset(
            pa.table(
                dict(zip(("question", "answer", "topic"), zip(*cards, strict=False), strict=True))
            )
        )
    )


def together(*cards: tuple[str, str, str], similarity: float = SIMILARITY) -> list[list[int]]:
    labels = components(texts(list(cards)), similarity)
    members = pd.Series(range(len(cards))).groupby(labels).apply(list)
    return sorted(rows for rows in members if len(rows) > 1)


def text(seed: int, words: int = 40) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def edited(answer: str, kind: str, chooser: random.Random) -> str:
    """The answer with a tenth of its words edited, at places drawn at random."""
    words = answer.split()
    for place in sorted(chooser.sample(range(len(words)), len(words) // 10), reverse=True):
        change = chooser.choice(["replaced", "deleted", "inserted"]) if kind == "mixed" else kind
        words[place : place + (change != "inserted")] = (
            [] if change == "deleted" else [chooser.choice(WORDS)]
        )
    return " ".join(words)


def test_one_topic_question_or_answer_ties_cards_together() -> None:
    assert together(
        ("What is gout?", "A joint disease.", ""),
        ("what is GOUT", "Something else.", ""),
        ("Define gout.", "a joint disease", ""),
        ("Where?", "Here.", "place"),
        ("When?", "Now.", "Place"),
        ("Who?", "Me.", ""),
    ) == [[0, 1, 2], [3, 4]]


@pytest.mark.slow
def test_topics_in_two_spellings_tie_cards_together_and_keep_the_name_of_the_first() -> None:
    topics = (
        "Coarctation of the aorta",
        "Diabetes, type 1",
        "Aorta coarctation",
        "type I diabetes",
    )
    cards = [(f"Question {n}?", f"Answer {n}.", topic) for n, topic in enumerate(topics)]
    assert together(*cards) == [[0, 2], [1, 3]]
    hashed = texts(cards)
    first = [f"{hash_text(normalised(topic)):016x}" for topic in topics[:2]]
    assert group_names(hashed, components(hashed, SIMILARITY)).tolist() == first * 2


def test_cards_without_a_topic_do_not_share_one() -> None:
    assert together(("a?", "one thing", ""), ("b?", "another matter", "")) == []


def test_texts_without_a_letter_are_equal_texts() -> None:
    assert together(("???", "one thing", ""), ("!", "another matter", "")) == [[0, 1]]


@pytest.mark.slow
def test_half_of_the_13_grams_in_other_answers_ties_a_card_to_them() -> None:
    first, second = text(3, 30), text(4, 30)
    whole = (("q1", first, ""), ("q2", second, ""), ("q3", f"{first} {second}", ""))
    assert together(*whole) == [[0, 1, 2]]
    mostly_new = f"{' '.join(first.split()[:14])} {text(5, 60)}"
    assert together(("q1", f"{first} {text(6, 60)}", ""), ("q3", mostly_new, "")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "least"),
    [("exact", 1), ("replaced", 0.95), ("deleted", 0.95), ("inserted", 0.95), ("mixed", 0.95)],
)
def test_planted_copies_are_grouped_with_their_original(kind: str, least: float) -> None:
    chooser = random.Random(kind)
    cards = [(f"question {n}?", text(n, chooser.randint(12, 80)), f"topic {n}") for n in range(400)]
    for number, (_, answer, _) in enumerate(cards[:400]):
        copy = answer.upper() if kind == "exact" else edited(answer, kind, chooser)
        cards.append((f"another question {number}?", copy, ""))
    labels = components(texts(cards), SIMILARITY)
    assert (labels[:400] == labels[400:]).mean() >= least
    assert len(set(labels)) >= 400  # and no stranger came along


def test_a_chinese_copy_is_grouped_with_its_original() -> None:
    answer = "痛风是一种由尿酸盐结晶沉积引起的关节炎"
    copy = answer.replace("一种", "种")
    assert together(("a", answer, ""), ("b", copy, ""), ("c", "高血压的治疗", "")) == [[0, 1]]


def test_a_large_component_is_cut_into_topics_and_questions() -> None:
    cards = [(f"Is {n // 2} inherited?", "Yes.", f"disease {n // 4}") for n in range(40)]
    cards += [(f"What is {n}?", text(n), "") for n in range(10)]
    read = texts(cards)
    linked = components(read, SIMILARITY)
    assert np.array_equal(without_boilerplate(read, linked, limit=40), linked)
    labels = without_boilerplate(read, linked, limit=39)
    assert len(set(labels[:40])) == 10 and len(set(labels)) == 20
    assert np.array_equal(labels[40:], linked[40:])
    assert pd.Series(strong_parts(read)).groupby(labels).nunique().eq(1).all()


@pytest.mark.slow
def test_new_cards_of_a_group_keep_its_name() -> None:
    cards = [(f"{n}?", text(n), f"topic {n % 7}" if n % 2 else "") for n in range(40)]
    read = texts(cards)
    names = group_names(read, components(read, SIMILARITY))
    assert names.nunique() == 7 + 20
    more = texts([*cards, ("new?", text(41), "topic 3"), ("newer?", text(8), "")])
    assert group_names(more, components(more, SIMILARITY))[:40].equals(names)


@pytest.mark.slow
def test_the_order_of_the_cards_changes_no_group() -> None:
    chooser = random.Random(0)
    cards = [(f"{n}?", edited(text(n // 3, 25), "mixed", chooser), "") for n in range(600)]
    order = chooser.sample(range(600), 600)
    labels = components(texts(cards), SIMILARITY)
    shuffled = components(texts([cards[row] for row in order]), SIMILARITY)
    pairs = set(zip(labels[order], shuffled, strict=True))
    assert 200 <= len(set(labels)) == len(set(shuffled)) == len(pairs) < 600


@pytest.mark.slow
def test_groups_never_leak_whatever_the_cards_share() -> None:
    chooser = random.Random(0)
    sentences = [text(seed, 9) for seed in range(60)]
    cards = [(f"q{i % 90}", " ".join(chooser.choices(sentences, k=3)), "") for i in range(120)]
    read = texts(cards)
    labels = components(read, SIMILARITY)
    for held_out in sorted(set(labels))[:20]:
        assert not any(leak_rates(read, labels != held_out, labels == held_out).values())


@pytest.mark.parametrize("count", [1, 2])
def test_very_few_and_very_short_cards_are_no_problem(count: int) -> None:
    assert len(components(texts([("?", "a", "")] * count), SIMILARITY)) == count


@pytest.mark.slow
def test_ten_thousand_cards_take_seconds() -> None:
    read = [(f"question {i}", text(i, 25), f"topic {i % 700}") for i in range(10_000)]
    start = time.process_time()
    components(texts(read), SIMILARITY)
    assert time.process_time() - start < 10


def conversations(*turns: list[tuple[str, str]]) -> TextHashes:
    """Texts of conversations, each a list of questions and answers."""
    records = []
    for *earlier, (question, answer) in turns:
        history = [
            {"role": role, "content": said}
            for pair in earlier
            for role, said in zip(("user", "assistant"), pair, strict=True)
        ]
        records.append({"topic": "", "question": question, "answer": answer, "history": history})
    return read_texts(dataset(pa.Table.from_pylist(records)))


def test_an_earlier_turn_ties_its_conversation_to_others() -> None:
    asked, answer, near = text(1, 13), text(2), text(3)
    read = conversations(
        [("A?", answer), ("B?", "Yes.")],
        [("C?", answer)],
        [(asked, "No."), ("D?", "Maybe.")],
        [("E?", "Perhaps."), (asked, "Never.")],
        [("F?", near), ("G?", "Seldom.")],
        [("H?", "Often."), ("I?", f"{near} and more"), ("J?", "Always.")],
        [("K?", text(4)), ("L?", text(5))],
    )
    assert components(read, SIMILARITY).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert strong_parts(read).tolist() == [0, 1, 2, 2, 3, 4, 5]
    assert group_names(read, np.arange(7)).nunique() == 7


def test_small_talk_before_a_question_ties_nothing_together() -> None:
    hello = ("Hi!", "Hello! How can I help you today?")
    read = conversations(
        [hello, ("What is gout?", text(1))],
        [hello, ("What is asthma?", text(2))],
        [("What is croup?", text(3)), ("Thanks!", "You are welcome.")],
    )
    assert components(read, SIMILARITY).tolist() == [0, 1, 2]


def test_an_empty_history_changes_no_hash() -> None:
    plain = texts([("What is gout?", text(1), "joints"), ("And asthma?", text(2), "")])
    records = {"question": ["What is gout?", "And asthma?"], "answer": [text(1), text(2)]}
    history = pa.array([None, []], pa.list_(pa.struct({"role": pa.string()})))
    read = read_texts(dataset(pa.table(records | {"topic": ["joints", ""], "history": history})))
    for name, values in vars(plain).items():
        assert np.array_equal(values, getattr(read, name)), name
