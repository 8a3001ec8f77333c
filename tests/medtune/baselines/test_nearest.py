import tracemalloc

import pyarrow as pa
import pytest

from medtune.baselines import nearest
from medtune.baselines.asked_name import NameFinder
from medtune.baselines.nearest import CardIndex, NearestAnswers, renamed, words

COUNT = 2_000
CARDS = [
    "What is gout? A disease with urate crystals in a joint.",
    "How is Marfan syndrome inherited? It is autosomal dominant.",
    "How is Cowden syndrome inherited? It is autosomal dominant.",
    "痛风是什么？一种疾病。",
    "โรคเกาต์คืออะไร โรคข้อ",
    "गठिया क्या है? जोड़ों का रोग।",
]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How is Turner syndrome inherited?", [1, 2]),  # equally near: in their own order
        ("Cowden syndrome", [2, 1]),
        ("crystals", [0, 1]),
        ("痛风", [3, 0]),
        ("กาต์", [4, 0]),
        ("गठिया", [5, 0]),
        ("Is it the?", []),
        ("", []),
    ],
)
def test_the_nearest_come_first(question: str, expected: list[int]) -> None:
    assert CardIndex(CARDS).nearest(question, 2) == expected


def test_words_are_the_same_if_a_text_has_a_letter_beyond_ascii() -> None:
    text = "The X-linked form of IL-6, 21-hydroxylase, a_b 5 mg: it is Gout"
    [plain, longer] = words([text, f"{text} β"])
    assert plain == longer == ["linked", "form", "il", "21", "hydroxylase", "mg", "gout"]


def test_an_index_without_words_finds_nothing() -> None:
    assert CardIndex([]).nearest("gout", 3) == []
    assert CardIndex(["?"]).nearest("gout", 3) == []


QUESTIONS = [
    "How is Turner syndrome inherited?",
    "Cowden syndrome",
    "crystals",
    "Is it the?",
    "痛风",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_index_of_the_asked_words_finds_the_same(question: str) -> None:
    whole, asked = CardIndex(CARDS), CardIndex(CARDS, QUESTIONS)
    assert asked.nearest(question, 3) == whole.nearest(question, 3)


def test_an_index_of_asked_words_that_no_card_has_finds_nothing() -> None:
    assert CardIndex(CARDS, ["Malaria?"]).nearest("Malaria?", 3) == []
    assert CardIndex(CARDS, []).nearest("", 3) == []


def test_the_texts_that_have_a_word_are_counted() -> None:
    index = CardIndex([*CARDS, "Gout, gout and gout."])
    assert [index.frequency(word) for word in ("gout", "inherited", "malaria")] == [2, 2, 0]
    assert CardIndex([]).frequency("gout") == 0


@pytest.mark.slow
def test_many_cards_take_few_bytes_each_if_the_questions_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nearest, "BATCH", 50)
    texts = (" ".join(f"word{n * 7919 * k % 50_000}" for k in range(1, 41)) for n in range(COUNT))
    CardIndex([], ["gout"])  # imports
    tracemalloc.start()
    CardIndex(texts, ["What is word7919, and what is word8?"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / COUNT < 400, "as lists of strings, 40 words take 2,500 bytes"


def test_at_most_all_cards_are_found() -> None:
    assert sorted(CardIndex(CARDS).nearest("gout", 9)) == [*range(len(CARDS))]


@pytest.mark.parametrize(
    ("answer", "name", "asked_name", "expected"),
    [
        ("Gout is a disease.", "gout", "asthma", "Asthma is a disease."),
        ("A lay term for Gout is gout.", "Gout", "asthma", "A lay term for asthma is asthma."),
        ("Cysts grow; a cyst hurts.", "cyst", "polyp", "Polyps grow; a polyp hurts."),
        ("Gouty joints.", "gout", "asthma", "Gouty joints."),
        ("Type 1 (rare) occurs.", "Type 1 (rare)", r"type\1", r"Type\1 occurs."),
        ("A disease.", None, "asthma", "A disease."),
        ("Gout is a disease.", "gout", None, "Gout is a disease."),
    ],
)
def test_the_name_of_a_card_is_replaced(
    answer: str, name: str | None, asked_name: str | None, expected: str
) -> None:
    assert renamed(answer, name, asked_name) == expected


def test_a_question_without_a_known_word_gets_the_first_card() -> None:
    questions = ["What is gout?", "What is asthma?"]
    cards = pa.table({"question": questions, "answer": ["A disease.", "A wheeze."]})
    answers = NearestAnswers(cards, NameFinder(questions), ["What is asthma?", "Malaria?"])
    assert answers.answer("What is asthma?") == "A wheeze."
    assert answers.answer("Malaria?") == answers.renamed_answer("Malaria?") == "A disease."
