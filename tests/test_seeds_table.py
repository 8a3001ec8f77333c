"""The committed table of several seeds belongs to the recorded run."""

import json
from pathlib import Path

import pytest

from medtune.commands.experiments import flat, read_lock
from medtune.commands.replicate import SEEDS, provenance

ROOT = Path(__file__).parents[1]
REMEDY = "is stale: run `medtune replicate --seeds 5` as docs/evaluation.md says"


def test_the_table_of_seeds_comes_from_the_parameters_and_the_code_of_dvc_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    recorded, stages = json.loads(SEEDS.read_text(encoding="utf-8")), read_lock("")
    params = flat(stages["compare"]["params"]["params.yaml"])
    for name, expected in provenance(params, stages).items():
        assert recorded[name] == expected, f"{name} of {SEEDS} {REMEDY}"
    assert len(recorded["seeds"]) >= 5
