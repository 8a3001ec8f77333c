import json
from pathlib import Path

import pytest

from medtune.report.costs import COSTS, run_mark, write_costs
from medtune.runtime.atomic_files import write_json

SCORES = {"rougeL.base": 0.25, "perplexity.ci_low": None}


def test_costs_are_a_script_with_the_longest_stage_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cost = {"elapsed_s": 6.0, "peak_memory_gib": 0.5, "device": "cpu", "threads": 1}
    write_json(Path("metrics/evaluate_base_cost.json"), cost)
    train = cost | {"elapsed_s": 174.0, "device": "<GPU>", "tokens_per_s": 76.4}
    write_json(Path("metrics/train_cost.json"), train)
    write_costs(SCORES, "uncommitted")
    script = COSTS.read_text(encoding="utf-8")
    costs = json.loads(script.removeprefix("window.costs = ").removesuffix(";\n"))
    assert costs["run"] == run_mark(SCORES)
    assert costs["caption"] == "Measured at commit uncommitted, 3.0 minutes in all"
    assert costs["rows"] == [
        ["train", "2.9", "0.50", "76.4", "<GPU>", "1"],
        ["evaluate base", "0.1", "0.50", "", "cpu", "1"],
    ]
    assert {len(row) for row in costs["rows"]} == {len(costs["columns"])}
