"""A killed `dvc repro` goes on by itself and ends with the bytes of one that was left alone.

A long run over the whole graph, at about ten kills a minute on an idle machine:

    python -m pytest tests/robustness/test_graph_kills.py --graph-kills 300 -s
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
    extent = (str(kills), "20") if kills else ("3", "3", "split")  # a sample of the quick stages
    found = json.loads(
        run(ROOT, "python", "-m", "tests.robustness.graph_kills", str(project), *extent).stdout
    )
    print(found)
    assert found["differing"] == []
    assert sum(found["struck"].values()) == (kills or 3)
    run(project, "python", "-m", "medtune", "verify")
