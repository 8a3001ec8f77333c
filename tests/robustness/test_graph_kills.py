"""A killed `dvc repro` goes on by itself and ends with the bytes of one that was left alone.

A long run over the whole graph, about eight kills a minute on two slow cores, with the number of
kills at each of 15 stages:

    python -m pytest tests/robustness/test_graph_kills.py --graph-kills 20 -s
    python -m pytest tests/robustness/test_graph_kills.py --graph-kills 24 -s \
        --kill-way "SIGKILL to all"
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.projects import ROOT, run


def test_killed_runs_end_with_the_same_bytes(
    smoke: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--graph-kills")
    project = shutil.copytree(smoke, tmp_path / "project", symlinks=True)
    way = request.config.getoption("--kill-way")
    extent = [str(kills), "0"] if kills else ["2", "0", "--stage", "clean"]  # quick stages
    extent += ["--way", way] if way else []
    found = json.loads(
        run(ROOT, "python", "-m", "tests.robustness.graph_kills", str(project), *extent).stdout
    )
    print(json.dumps(found, indent=2))
    assert found["differing"] == [] == found["failed"]
    assert {end.rpartition(": ")[2] for end in found["seconds"]} <= {"done", "refused"}
    assert sum(found["kills"].values()) > 0
