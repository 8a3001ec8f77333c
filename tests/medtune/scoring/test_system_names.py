import pytest

from medtune.scoring.system_names import SYSTEMS, TITLES, is_off, title


def test_every_system_has_a_title() -> None:
    assert set(SYSTEMS) == set(TITLES) and len(SYSTEMS) == 8


@pytest.mark.parametrize(
    ("system", "few_shot", "expected"),
    [
        ("base", 3, "base model"),
        ("few_shot", 3, "base model with 3 cards"),
        ("finetuned_few_shot", 1, "fine-tuned model with 1 card"),
    ],
)
def test_a_title_names_the_number_of_cards(system: str, few_shot: int, expected: str) -> None:
    assert title(system, few_shot) == expected


@pytest.mark.parametrize(
    ("few_shot", "few_shot_finetuned", "off"),
    [
        (3, True, set()),
        (3, False, {"finetuned_few_shot"}),
        (0, True, {"few_shot", "finetuned_few_shot"}),
    ],
)
def test_only_models_that_are_shown_cards_can_be_switched_off(
    few_shot: int, few_shot_finetuned: bool, off: set[str]
) -> None:
    assert {name for name in SYSTEMS if is_off(name, few_shot, few_shot_finetuned)} == off
