import pytest

from medtune.cards.sentences import MAX_WORDS, define, split_sentences

LONG = "a long sentence that says what the disease is, where it is and whom it affects"


@pytest.mark.parametrize(
    ("source", "mended"),
    [
        (f"{LONG} [NCIT:C1]", f"{LONG.capitalize()}."),
        (f"{LONG} ({{1:Heon et al., 2016}}).", f"{LONG.capitalize()}."),
        (f"{LONG} (From Stedman, 25th ed)", f"{LONG.capitalize()}."),
        (f"{LONG} (joints).", f"{LONG.capitalize()} (joints)."),
        (f"{LONG}.nnFor a description, see X1 (OMIM:209900).", f"{LONG.capitalize()}."),
        (f"Note: read the manual. {LONG.capitalize()}.", f"{LONG.capitalize()}."),
        (f"{LONG} of the ``mantle zone''.", f'{LONG.capitalize()} of the "mantle zone".'),
        (f"{LONG} (FLUID RHINORRHEA) in AIDS.", f"{LONG.capitalize()} (fluid rhinorrhea) in AIDS."),
        (f"{LONG} by S. aureus, e.g. A.", f"{LONG.capitalize()} by S. aureus, e.g. A."),
    ],
)
def test_definitions_are_mended(source: str, mended: str) -> None:
    assert define(source) == mended


def test_a_short_first_sentence_is_followed_by_the_second() -> None:
    assert define(f"Pain.It is {LONG}. More.") == f"Pain. It is {LONG}."
    assert define(f"It is {LONG}. It hurts.") == f"It is {LONG}."


@pytest.mark.parametrize(
    "source",
    [
        "",
        "Too few words.",
        "word " * (MAX_WORDS + 1),
        f"{LONG}, a disease of the nerves in sheep",
        f"For {LONG}, see gout.",
        f"This term is {LONG}.",
    ],
)
def test_what_is_no_definition_is_none(source: str) -> None:
    assert define(source) is None


def test_every_sentence_is_whole() -> None:
    text = f"{LONG}. See also gout. It hurts"
    assert split_sentences(text) == [f"{LONG.capitalize()}.", "It hurts."]
