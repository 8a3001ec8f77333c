"""Writes what a run cost to reports/costs.js, which the report loads if the file exists.

Seconds, memory and commit differ between runs on the same inputs, so no output of the stage that
writes the report contains them.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medtune.report.number_formats import number
from medtune.runtime.atomic_files import read_json, replacing
from medtune.runtime.stage import METRICS

COSTS = Path("reports/costs.js")
SUFFIX = "_cost.json"
COLUMNS = ("stage", "minutes", "peak memory, GiB", "tokens per second", "device", "threads")


def write_costs(scores: Mapping[str, Any], commit: str) -> None:
    """Writes the costs of all stages, longest first, for the report that shows these scores."""
    costs = {
        path.name.removesuffix(SUFFIX): read_json(path, "compare")
        for path in METRICS.glob(f"*{SUFFIX}")
    }
    stages = sorted(costs.items(), key=lambda item: (-item[1]["elapsed_s"], item[0]))
    minutes = number(sum(cost["elapsed_s"] for cost in costs.values()) / 60, 1)
    content = {
        "run": run_mark(scores),
        "caption": f"Measured at commit {commit}, {minutes} minutes in all",
        "columns": COLUMNS,
        "rows": [_cells(stage, cost) for stage, cost in stages],
    }
    with replacing(COSTS) as temporary:
        temporary.write_text(f"window.costs = {json.dumps(content)};\n", encoding="utf-8")


def run_mark(scores: Mapping[str, Any]) -> str:
    """Returns a hash of the scores, so that a report does not show the costs of another run."""
    return hashlib.sha256(json.dumps(scores, sort_keys=True).encode()).hexdigest()[:16]


def _cells(stage: str, cost: Mapping[str, Any]) -> list[str]:
    speed = cost.get("tokens_per_s")
    return [
        stage.replace("_", " "),
        number(cost["elapsed_s"] / 60, 1),
        number(cost["peak_memory_gib"], 2),
        "" if speed is None else number(speed, 1),
        str(cost["device"]),
        str(cost["threads"]),
    ]
