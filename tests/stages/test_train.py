"""The stage trains with its own seed; what a training does is tested in tests/medtune/training."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medtune.config.loading import load_params
from stages import train as stage

SHARED = 42


class StoppedError(Exception):
    """Ends the stage before it trains."""


def seed_of_the_adapter(monkeypatch: pytest.MonkeyPatch, own: int | None) -> int:
    """The seed that the stage hands on, with `train.seed` set to `own`."""
    params = load_params("train").model_copy(update={"seed": own})
    seen: list[int] = []

    def add_adapter(model: Any, params: Any, seed: int) -> Any:
        seen.append(seed)
        raise StoppedError

    stubs = {
        "load_params": lambda *names: (params, SHARED),
        "launch": lambda *arguments: None,
        "read_tokens": lambda path: None,
        "columns": lambda *arguments: {},
        "load_tokenizer": lambda: None,
        "PromptFormat": SimpleNamespace(load=lambda path: None),
        "PromptEncoder": lambda *arguments: None,
        "load_base": lambda *arguments, **options: None,
        "add_adapter": add_adapter,
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(stage, name, stub)
    with pytest.raises(StoppedError):
        stage.main()
    return seen[0]


def test_the_shared_seed_is_used_unless_the_training_has_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    assert seed_of_the_adapter(monkeypatch, None) == SHARED
    assert seed_of_the_adapter(monkeypatch, 0) == 0
    assert seed_of_the_adapter(monkeypatch, 7) == 7


def test_trainings_with_other_seeds_have_their_own_checkpoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "stage_inputs", lambda: [Path("params.yaml")])
    params = load_params("train")
    folders = {stage.checkpoint_folder(params, seed) for seed in (1, 2)}
    assert len(folders) == 2
