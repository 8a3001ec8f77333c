import pytest

from medtune.cards.familiarity import Capitals, count_mentions, is_left_out, lines_of_list

LISTS = ("common_diseases", "common_findings", "left_out_terms")


@pytest.mark.parametrize("name", LISTS)
def test_no_line_of_a_list_is_empty_or_there_twice(name: str) -> None:
    lines = lines_of_list(name)
    assert len(lines) == len({line.lower() for line in lines}) > 5
    assert all(line == line.strip() != "" for line in lines)


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("Underdevelopment of the genitals.", True),
        ("Absence of Sperm in semen.", True),
        ("Analgesia and growth retardation of the labial mucosa.", False),
        ("A sexually transmitted infection.", False),
    ],
)
def test_terms_are_left_out_as_whole_words_or_by_their_beginning(text: str, left_out: bool) -> None:
    assert is_left_out("gout", text) == left_out


def test_a_mention_is_a_whole_name_counted_once_a_text() -> None:
    names = ["gout", "heart failure", "Heart"]
    texts = ["Gout, gout and heart failure.", "Goutish.", "The heart's own.", "Failure of a heart"]
    assert count_mentions(names, texts) == {"gout": 1, "heart failure": 1, "heart": 2}


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Babinski sign", "Babinski sign"),
        ("Chest pain", "chest pain"),
        ("EEG changes", "EEG changes"),
        ("B-cell lymphoma", "B-cell lymphoma"),
        ("Intellectual disability, severe", "severe intellectual disability"),
        ("Never seen", "never seen"),
    ],
)
def test_names_keep_their_capitals(name: str, written: str) -> None:
    texts = ["The sign of Babinski and chest pain. Chest pain of a B-cell, with B cells."]
    assert Capitals(texts).lower_first(name) == written
