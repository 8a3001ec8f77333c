import pytest

from medtune.cards.finding_cards import repeats_name


@pytest.mark.parametrize(
    ("name", "definition", "circular"),
    [
        ("Pupillary edema", "Edema of the pupil, which is wide.", True),
        ("Fine hair", "Hair that is thin to the touch.", False),
        ("Myokymia", "Myokymia consists of contractions that spread across the muscle.", True),
        ("Vertigo", "The feeling that everything turns.", False),
        ("Fatigue on exertion", "Tiredness after work.", False),
    ],
)
def test_a_definition_repeats_the_name_if_it_has_most_of_its_words(
    name: str, definition: str, circular: bool
) -> None:
    assert repeats_name(definition, name) == circular
