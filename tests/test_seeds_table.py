"""The committed table of several seeds belongs to the recorded run."""

import json
from pathlib import Path
from typing import Any

import pytest

from medtune.commands.experiments import SCORES, read_lock
from medtune.commands.replicate import SEEDS, provenance

ROOT = Path(__file__).parents[1]
REMEDY = f"{SEEDS} is stale: run `medtune replicate --seeds 5` as docs/evaluation.md says"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(ROOT)
    return json.loads(SEEDS.read_text(encoding="utf-8"))


def test_the_table_of_seeds_has_parameters_data_and_answers_of_dvc_lock(
    table: dict[str, Any],
) -> None:
    """The code may be newer as long as the workspace's seed is answered with the same bytes."""
    now = provenance(read_lock(""))
    assert table["params"] == {key: now["params"].get(key) for key in table["params"]}, REMEDY
    assert (table["data_md5"], table["answers_md5"]) == (now["data_md5"], now["answers_md5"]), (
        REMEDY
    )
    assert len(table["seeds"]) >= 5


def test_the_seed_of_the_workspace_is_scored_as_in_the_recorded_run(table: dict[str, Any]) -> None:
    recorded, shared = json.loads(Path(SCORES).read_text(encoding="utf-8")), table["params"]["seed"]
    place = table["seeds"].index(shared)
    for name, score in table["scores"].items():
        assert score["by_seed"][place] == recorded[f"{name}.finetuned"], REMEDY
