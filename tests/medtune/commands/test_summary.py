import re
import subprocess
import sys
from pathlib import Path

import pytest

from medtune.commands import summary
from medtune.report.costs import COSTS
from medtune.runtime.errors import InputError
from medtune.runtime.files import write_json
from medtune.scoring.scores import SCORES

LOCK = """schema: '2.0'
stages:
  compare:
    cmd: python -m stages.compare
    params:
      params.yaml:
        compare:
          confidence: 0.95
          resamples: 10000
        preset: default
        seed: 7
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    metrics: dict[str, float] = {"n": 200, "groups": 180}
    for score in SCORES:
        fields = {"base": 2.0, "finetuned": 1.5, "difference": -0.5, "ci_low": -0.75}
        fields |= {"ci_high": -0.25, "p_value": 0.0001}
        metrics |= {f"{score.name}.{key}": value for key, value in fields.items()}
    write_json(tmp_path / "metrics/compare_scores.json", metrics)
    (tmp_path / "dvc.lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run_summary(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(summary.__file__).parents[2]
    command = [sys.executable, "-m", "medtune", "summary", *arguments]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )


def test_table_shows_scores_with_their_digits_and_where_they_come_from(project: Path) -> None:
    table = summary.terminal_table()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert ["ROUGE-L", "2.000", "1.500", "-0.500", "-0.750 to -0.250", "< 0.001"] in lines
    assert ["perplexity", "2.00", "1.50", "-0.50"] in [line[:4] for line in lines]
    assert "n = 200 in 180 groups, seed 7, preset default, commit uncommitted" in table
    assert table.endswith("report: reports/report.html")


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
    rows = [line.split(" |")[0] for line in summary.readme_block().splitlines()]
    assert "| ROUGE-L                         " in rows and "| words per answer" not in rows


def test_readme_shows_six_scores_and_the_terminal_all_of_them(project: Path) -> None:
    titles = re.findall(r"^\| ([^|]+)\| +\d", summary.readme_block(), re.MULTILINE)
    assert [title.strip() for title in titles] == [
        "ROUGE-L",
        "BLEU",
        "perplexity",
        "answers that end on their own",
        "repeated word 4-grams",
        "answers with unsupported numbers",
    ]
    assert all(score.title in summary.terminal_table() for score in SCORES)


def test_readme_without_block_is_left_alone(project: Path) -> None:
    Path("README.md").write_text("# T\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"README.md has no <!-- scores -->"):
        summary.write_readme()
    assert Path("README.md").read_text(encoding="utf-8") == "# T\n"


@pytest.mark.parametrize("missing", ["metrics/compare_scores.json", "dvc.lock"])
def test_missing_results_give_one_line_that_says_what_to_run(project: Path, missing: str) -> None:
    (project / missing).unlink()
    done = run_summary(project)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"{missing} is missing: run dvc repro" in done.stderr


def test_command_prints_the_table(project: Path) -> None:
    done = run_summary(project)
    assert done.returncode == 0, done.stderr
    assert re.split(r"[ |]+", done.stdout.splitlines()[0])[1:4] == ["score", "base", "fine-tuned"]
    assert (project / COSTS).read_text(encoding="utf-8").startswith("window.costs = ")
