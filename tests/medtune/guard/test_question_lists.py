"""Lists of questions: templates, words and comments, and the lists that are shipped."""

from pathlib import Path

import pytest

from medtune.guard.question_lists import LISTS, SLOT, questions, read_list, words_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text(
        "# parts\npart = knee | hip\n\nwhy does my {part} hurt\n{part}?\n"
    )
    (tmp_path / "b.txt").write_text("part = ear\nwhy?\nwhy?\n")
    return tmp_path


def test_words_serve_all_lists_of_a_folder(folder: Path) -> None:
    assert words_of(folder) == {"part": ["knee", "hip", "ear"]}


def test_a_bare_word_gives_all_and_a_template_gives_some(folder: Path) -> None:
    found = questions(folder, per_template=2)
    assert found[-4:] == ["knee?", "hip?", "ear?", "why?"]
    hurts = {f"why does my {part} hurt" for part in ("knee", "hip", "ear")}
    assert set(found[:-4]) <= hurts and 1 <= len(found[:-4]) <= 2


def test_draws_depend_on_the_template_alone(folder: Path) -> None:
    before = questions(folder, per_template=5)
    (folder / "0.txt").write_text("what about my {part}\n")
    assert set(before) <= set(questions(folder, per_template=5))


def test_all_words_of_the_shipped_templates_are_defined() -> None:
    for side in ("medical", "general"):
        words = words_of(LISTS / "train" / side)
        lines = [
            line for path in (LISTS / "train" / side).glob("*.txt") for line in read_list(path)
        ]
        assert {slot for line in lines for slot in SLOT.findall(line)} == set(words)
        assert len(questions(LISTS / "train" / side, 1)) > 1000


@pytest.mark.slow
def test_no_question_is_in_two_of_train_validation_and_test() -> None:
    roles = {
        role: {
            question.casefold().strip("?! ")
            for side in ("medical", "general")
            for question in questions(LISTS / role / side, 8)
        }
        for role in ("train", "validation", "test")
    }
    assert all(len(asked) > 300 for asked in roles.values())
    assert not roles["train"] & roles["validation"]
    assert not roles["test"] & (roles["train"] | roles["validation"])
