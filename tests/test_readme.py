"""README.md stays short, and its table holds the committed scores."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_fits_on_two_screens() -> None:
    lines = README.splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 110] == []


def test_the_differences_over_seeds_are_those_of_the_committed_table() -> None:
    scores = json.loads((ROOT / "metrics/seeds.json").read_text(encoding="utf-8"))["scores"]
    for name in ("rougeL", "content_f1"):
        score = scores[name]
        gain = score[score["best"]]["gain"]
        assert f"{gain['value']:+.3f} in" in README
        assert f" to {gain['ci_high']:+.3f}, p" in README


def test_the_scores_are_those_of_the_committed_metrics() -> None:
    from medtune.commands.summary import BLOCK, readme_block

    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "metrics"], cwd=ROOT)
    if changed.returncode:
        pytest.skip("metrics/ holds another run than the committed one")
    (shown,) = BLOCK.findall(README)
    made, shown = (re.sub(r"commit \w+", "", text) for text in (readme_block(), shown))
    assert shown == made
