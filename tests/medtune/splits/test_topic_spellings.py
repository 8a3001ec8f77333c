import pytest

from medtune.splits.near_duplicates import normalised
from medtune.splits.topic_spellings import same_for_spellings


@pytest.mark.parametrize(
    "spellings",
    [
        ("Coarctation of aorta", "Aorta coarctation", "coarctation of the aorta"),
        ("Diabetes, type 1", "type I diabetes", "Type one diabetes"),
        ("Mucopolysaccharidosis type IIIB", "mucopolysaccharidosis type 3b"),
    ],
)
def test_spellings_of_a_topic_are_folded(spellings: tuple[str, ...]) -> None:
    assert len({same_for_spellings(normalised(topic)) for topic in spellings}) == 1


@pytest.mark.parametrize(
    "topics",
    [
        ("Hemophilia", "Hemophilia A", "Hemophilia B"),
        ("Diabetes type 1", "Diabetes type 2", "Diabetes"),
        ("Vitamin C deficiency", "Vitamin D deficiency"),
    ],
)
def test_topics_with_other_words_stay_apart(topics: tuple[str, ...]) -> None:
    assert len({same_for_spellings(normalised(topic)) for topic in topics}) == len(topics)
