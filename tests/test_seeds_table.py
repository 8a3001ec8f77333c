"""The committed table of several seeds belongs to the recorded run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from medtune.commands.experiments import SCORES, SYSTEMS, read_lock
from medtune.commands.replicate import SEEDS, answers_sha256, provenance
from medtune.comparison.systems import RULE_ANSWERS

ROOT = Path(__file__).parents[1]
REMEDY = f"{SEEDS} is stale: run `medtune replicate --seeds 5` as docs/evaluation.md says"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(ROOT)
    return json.loads(SEEDS.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_table_of_seeds_has_parameters_and_data_of_dvc_lock(table: dict[str, Any]) -> None:
    """The code may be newer as long as it answers and scores the workspace's seed as before."""
    now = provenance(read_lock(""))
    assert table["params"] == {key: now["params"].get(key) for key in table["params"]}, REMEDY
    assert table["data_md5"] == now["data_md5"], REMEDY
    assert len(table["seeds"]) >= 5


@pytest.mark.slow
def test_the_table_of_seeds_has_the_answers_of_the_workspace(table: dict[str, Any]) -> None:
    if not RULE_ANSWERS.is_file():
        pytest.skip("no run is here: the scores of the committed one are compared below")
    assert table["answers_sha256"] == answers_sha256(), REMEDY


def test_the_seed_of_the_workspace_is_scored_as_in_the_recorded_run(table: dict[str, Any]) -> None:
    pair, systems = (json.loads(Path(path).read_text("utf-8")) for path in (SCORES, SYSTEMS))
    place = table["seeds"].index(table["params"]["seed"])
    for name, score in table["scores"].items():
        same = partial(pytest.approx, rel=1e-6)  # a loss changes in its last digit with the batches
        assert score["by_seed"][place] == same(pair[f"{name}.finetuned"]), REMEDY
        assert score["base"]["value"] == same(pair[f"{name}.base"]), REMEDY
        assert score["best"] == systems[f"best.{name}"], REMEDY
        assert score[score["best"]]["value"] == same(systems[f"{score['best']}.{name}"]), REMEDY
