import re
from pathlib import Path
from typing import Any

import pytest

from medtune.commands import summary
from medtune.report.costs import COSTS
from medtune.report.result_table import FIRST_SCORES
from medtune.runtime.atomic_files import write_json
from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES
from tests.medtune.commands.conftest import Output, Run
from tests.projects import run

LOCK = """schema: '2.0'
stages:
  compare:
    cmd: python -m stages.compare
    params:
      params.yaml:
        compare:
          confidence: 0.95
          resamples: 10000
        evaluate:
          few_shot: 3
        preset: default
        seed: 7
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    scores: dict[str, float] = {"n": 200, "groups": 180}
    systems: dict[str, Any] = {"n": 200, "groups": 180, "verdict.sentence": "It is better."}
    fields = {"difference": -0.5, "ci_low": -0.75, "ci_high": -0.25, "p_value": 0.0001}
    for score in SCORES:
        scores |= {f"{score.name}.base": 2.0, f"{score.name}.finetuned": 1.5}
        systems |= {f"base.{score.name}": 2.5, f"few_shot.{score.name}": 2.0}
        systems[f"finetuned.{score.name}"] = 1.5
        systems |= {f"few_shot.{score.name}.{key}": value for key, value in fields.items()}
        if score.better:
            systems[f"best.{score.name}"] = "few_shot"
    kinds = {"onset.n": 7, "onset.stopped_rate.base": 1.0, "onset.stopped_rate.finetuned": 0.5}
    for name, content in (("scores", scores), ("systems", systems), ("kinds", kinds)):
        write_json(tmp_path / f"metrics/compare_{name}.json", content)
    (tmp_path / "dvc.lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(*arguments: str) -> str:
    return run(Path(), "git", *arguments).stdout.strip()


def test_table_shows_scores_with_their_digits_and_where_they_come_from(project: Path) -> None:
    table = summary.terminal_table()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    best = "2.000 (base, 3 cards)"
    assert ["ROUGE-L", "2.500", best, "1.500", "-0.500", "-0.750 to -0.250"] in lines
    assert ["perplexity", "2.50", "2.00 (base, 3 cards)"] in [line[:3] for line in lines]
    assert table.startswith("- It is better.\n- Onset cards (n = 7): 50% of the answers do not end")
    assert "200 test cards in 180 groups, seed 7, preset default, commit uncommitted" in table
    assert table.endswith("report: reports/report.html is missing: run dvc repro")
    Path("reports").mkdir()
    Path("reports/report.html").touch()
    assert summary.terminal_table().endswith("report: reports/report.html")


def test_commit_is_that_of_dvc_lock_until_the_file_changes(project: Path) -> None:
    git("init", "-q")
    assert summary.commit() == "uncommitted"
    git("add", "dvc.lock")
    git("commit", "-qm", "run")
    expected = git("log", "-1", "--format=%h")
    git("commit", "-qm", "later", "--allow-empty")
    assert summary.commit() == expected
    Path("dvc.lock").write_text(LOCK + "\n", encoding="utf-8")
    assert summary.commit() == "uncommitted"


def test_readme_keeps_everything_around_the_block(project: Path) -> None:
    readme = Path("README.md")
    readme.write_text("# T\n<!-- scores -->\nold\n<!-- /scores -->\nrest\n", encoding="utf-8")
    summary.write_readme()
    assert readme.read_text(encoding="utf-8") == f"# T\n{summary.readme_block()}\nrest\n"
    rows = [line.split(" |")[0].strip() for line in summary.readme_block().splitlines()]
    assert "| ROUGE-L" in rows and "| words per answer" not in rows


@pytest.mark.slow
def test_readme_shows_the_first_scores_and_the_terminal_all_of_them(project: Path) -> None:
    titles = re.findall(r"^\| ([^|]+)\| +\d", summary.readme_block(), re.MULTILINE)
    names = {score.title: score.name for score in SCORES}
    assert {names[title.strip()] for title in titles} == set(FIRST_SCORES)
    assert all(score.title in summary.terminal_table() for score in SCORES)


def test_readme_without_block_is_left_alone(project: Path) -> None:
    Path("README.md").write_text("# T\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"README.md has no <!-- scores -->"):
        summary.write_readme()
    assert Path("README.md").read_text(encoding="utf-8") == "# T\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "missing", ["metrics/compare_systems.json", "metrics/compare_kinds.json", "dvc.lock"]
)
def test_missing_results_give_one_line_that_says_what_to_run(
    project: Path, missing: str, medtune: Run, capsys: Output
) -> None:
    (project / missing).unlink()
    assert medtune("summary") == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"{missing} is missing: run dvc repro" in said.err


@pytest.mark.slow
def test_command_prints_the_table(project: Path, medtune: Run, capsys: Output) -> None:
    assert medtune("summary") == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r"[ |]+", lines[3])[1:3] == ["score", "base"]
    assert (project / COSTS).read_text(encoding="utf-8").startswith("window.costs = ")
