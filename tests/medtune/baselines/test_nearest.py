import pytest

from medtune.baselines.nearest import CardIndex, renamed

CARDS = [
    "What is gout? A disease with urate crystals in a joint.",
    "How is Marfan syndrome inherited? It is autosomal dominant.",
    "How is Cowden syndrome inherited? It is autosomal dominant.",
    "痛风是什么？一种疾病。",
]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How is Turner syndrome inherited?", [1, 2]),  # equally near: in their own order
        ("Cowden syndrome", [2, 1]),
        ("crystals", [0, 1]),
        ("痛风", [3, 0]),
        ("Is it the?", []),
        ("", []),
    ],
)
def test_the_nearest_come_first(question: str, expected: list[int]) -> None:
    assert CardIndex(CARDS).nearest(question, 2) == expected


def test_an_index_without_words_finds_nothing() -> None:
    assert CardIndex([]).nearest("gout", 3) == []
    assert CardIndex(["?"]).nearest("gout", 3) == []


def test_at_most_all_cards_are_found() -> None:
    assert sorted(CardIndex(CARDS).nearest("gout", 9)) == [0, 1, 2, 3]


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
