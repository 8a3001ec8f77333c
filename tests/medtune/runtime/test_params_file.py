import pytest

from medtune.runtime import params_file
from medtune.runtime.params_file import EXPERIMENT, UNDO, with_undo


@pytest.mark.parametrize(
    ("in_experiment", "can_undo", "said"),
    [
        (True, True, f"no such file; {UNDO}"),
        (True, False, "no such file"),
        (False, True, "no such file"),
    ],
)
def test_only_a_failed_experiment_says_how_to_undo_what_it_changed(
    in_experiment: bool, can_undo: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EXPERIMENT, raising=False)
    if in_experiment:
        monkeypatch.setenv(EXPERIMENT, "abc")
    monkeypatch.setattr(params_file, "can_undo", lambda: can_undo)
    assert with_undo("no such file") == said
    assert with_undo(said) == said, "once is enough"
