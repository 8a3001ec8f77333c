import csv
import subprocess
from pathlib import Path
from typing import Any

import pytest

from medtune.commands import experiments, leaderboard
from medtune.commands.experiments import Experiment, load_experiments
from medtune.commands.leaderboard import BOARD, ranked
from medtune.runtime.errors import InputError
from tests.projects import ROOT, attempt, commit_all, run

PARAMS = """\
train: {lr: 1.0e-3, r: 16, per_device_train_batch_size: 8, gradient_accumulation_steps: 2,
  num_train_epochs: 1, use_dora: false, lr_scheduler_kwargs: {}}
evaluate: {few_shot: 3}
compare: {confidence: 0.95}
"""
GRAPH = """\
stages:
  compare:
    cmd: python -m stage
    params: [train, evaluate, compare]
    deps: [stage.py]
    outs:
      - metrics/compare_scores.json: {cache: false, persist: true}
      - metrics/compare_systems.json: {cache: false, persist: true}
      - metrics/train_cost.json
"""
# Its scores depend on its parameters, as those of the pipeline do.
STAGE = """\
import json
from pathlib import Path
from ruamel.yaml import YAML

train = YAML(typ="safe").load(Path("params.yaml"))["train"]
gain = 100 * train["lr"] + 0.1 * train["use_dora"]
scores, systems = {}, {"verdict": "no change"}
for name, base, sign in (("rougeL", 0.25, 1), ("content_f1", 0.1, 1), ("chrf", 30, 1)):
    fields = {"base": base, "finetuned": base + sign * gain, "difference": sign * gain}
    fields |= {"ci_low": sign * gain - 0.05, "ci_high": sign * gain + 0.05, "p_value": 0.01}
    scores |= {f"{name}.{key}": round(value, 6) for key, value in fields.items()}
    best = {"difference": gain - 0.1, "ci_low": gain - 0.15, "ci_high": gain - 0.05}
    systems |= {f"few_shot.{name}.{key}": round(value, 6) for key, value in best.items()}
    systems[f"best.{name}"] = "few_shot"
Path("metrics").mkdir(exist_ok=True)
Path("metrics/compare_systems.json").write_text(json.dumps(systems))
Path("metrics/compare_scores.json").write_text(json.dumps({"n": 9, "groups": 8} | scores))
Path("metrics/train_cost.json").write_text(json.dumps({"elapsed_s": 90.0, "device": "cpu"}))
"""


def board(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["env", f"PYTHONPATH={ROOT}", "python", "-m", "medtune", "leaderboard"]
    return attempt(folder, *command, *arguments)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit with its run, an experiment with DoRA left in the workspace, one in the queue."""
    folder = tmp_path_factory.mktemp("project")
    files = {"params.yaml": PARAMS, "dvc.yaml": GRAPH, "stage.py": STAGE}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    run(folder, "git", "init", "-qb", "main")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "repro", "-q")
    commit_all(folder, "run")
    run(folder, "dvc", "exp", "run", "-q", "--name", "dora", "-S", "train.use_dora=true")
    run(folder, "dvc", "exp", "run", "-q", "--queue", "--name", "later", "-S", "train.lr=1e-05")
    return folder


@pytest.mark.slow
def test_workspace_commit_and_experiment_are_rows_best_first(project: Path) -> None:
    done = board(project)
    assert done.returncode == 0, done.stderr
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
        if line.startswith("|")
    ]
    header, rule, *rows = table
    assert header == [
        *("experiment", "commit", "lr", "rank", "batch × accumulation", "epochs"),
        *("train.use_dora", "ROUGE-L (minus best without training, 95% interval)"),
        *("content words (minus best without training, 95% interval)", "verdict"),
        *("minutes", "device"),
    ]
    assert set("".join(rule)) == {"-"}
    assert [row[0] for row in rows] == ["workspace", "dora", "main"]
    commit = run(project, "git", "rev-parse", "--short=7", "main").stdout.strip()
    best = "base model with 3 cards"
    scores = [f"{value} (0.000, -0.050 to +0.050, {best})" for value in ("0.350", "0.200")]
    settings = ["main", commit, "0.001", "16", "8 × 2", "1", "false"]
    assert rows[2] == [*settings, *scores, "no change", "1.5", "cpu"]
    assert rows[1][6:8] == ["true", f"0.450 (+0.100, +0.050 to +0.150, {best})"]
    assert "queued: later (start with `dvc queue start`)" in done.stdout


@pytest.mark.slow
def test_both_files_hold_what_was_printed(project: Path) -> None:
    done = board(project, "--sort", "chrf")
    assert (project / BOARD).with_suffix(".md").read_text(encoding="utf-8") == done.stdout
    with (project / BOARD).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["experiment"] for row in rows] == ["workspace", "dora", "main"]
    fields = ("finetuned", "difference", "ci_low", "ci_high")
    names = [f"chrf.{field}".removesuffix(".finetuned") for field in fields]
    assert [float(rows[2][name]) for name in names] == [30.1, 0.0, -0.05, 0.05]
    assert rows[2]["chrf.best"] == "base model with 3 cards"


@pytest.mark.slow
def test_scores_of_other_parameters_get_no_row(project: Path) -> None:
    params = project / "params.yaml"
    before = params.read_text(encoding="utf-8")
    params.write_text(before.replace("r: 16", "r: 32"), encoding="utf-8")
    try:
        done = board(project)
    finally:
        params.write_text(before, encoding="utf-8")
    assert "scored with other parameters: workspace (run `dvc repro`)" in done.stdout
    assert "| workspace" not in done.stdout


@pytest.mark.slow
def test_an_unknown_column_is_answered_with_the_known_ones(project: Path) -> None:
    done = board(project, "--sort", "rouge")
    assert done.returncode == 1
    line = "leaderboard: --sort must be one of rougeL, chrf, content_f1, experiment, commit, lr, "
    assert done.stderr.startswith(line) and done.stderr.endswith("got rouge\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_errors_are_one_line(tmp_path: Path) -> None:
    def line() -> str:
        done = board(tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.removeprefix("leaderboard: ").rstrip()

    (tmp_path / "params.yaml").touch()
    assert line().startswith("dvc.yaml or .dvc is missing in this folder: run the command in")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "dvc.yaml").write_text("stages: {}", encoding="utf-8")
    assert line().startswith("this folder has no Git commit")
    run(tmp_path, "git", "init", "-qb", "main")
    run(tmp_path, "git", "commit", "-q", "--allow-empty", "-m", "empty")
    assert line() == "no run has scores: without scores: workspace, main (run `dvc repro`)"
    (tmp_path / "dvc.yaml").write_text("stages: [", encoding="utf-8")
    (tmp_path / ".dvc/config").write_text("[core", encoding="utf-8")
    assert line().startswith("dvc exp show failed: ")


def made(name: str, lr: float | None, rouge: float | None, **metrics: float) -> Experiment:
    metrics |= {} if rouge is None else {"rougeL.finetuned": rouge, "rougeL.difference": 0.1}
    return Experiment(name, "", {"train.lr": lr}, metrics, {})


def test_better_scores_come_first_and_missing_ones_last() -> None:
    runs = [made("low", 1e-3, 0.25), made("none", None, None), made("high", 1e-5, 0.5)]
    runs[0].scores.update({"perplexity.finetuned": 4.0, "perplexity.difference": -1.0})
    runs[2].scores.update({"perplexity.finetuned": 5.0, "perplexity.difference": -1.0})
    for sort, names in (
        ("rougeL", ["high", "low", "none"]),
        ("perplexity", ["low", "high", "none"]),
        ("lr", ["high", "low", "none"]),
        ("experiment", ["high", "low", "none"]),
    ):
        table, _ = ranked(runs, sort)
        assert [row["experiment"] for row in table] == names, sort


def test_runs_without_scores_are_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def state(rev: str, name: str | None, data: Any) -> dict[str, Any]:
        return {"rev": rev, "name": name, "data": data, "experiments": None}

    def experiment(name: str, executor: str | None) -> dict[str, Any]:
        tip = state("b" * 40, name, {"params": {}, "metrics": {}})
        return {"revs": [tip], "name": name, "executor": executor and {"state": executor}}

    states = ("failed", "failed", "running", "queued", "success", None)
    shown = [state("workspace", None, None), state("a" * 40, None, None)]
    shown[1]["experiments"] = [experiment(f"{s}-{i}", s) for i, s in enumerate(states)]
    monkeypatch.setattr(experiments, "_exp_show", lambda commits: shown)
    monkeypatch.setattr(experiments, "text_of", lambda commit, path: "")
    runs, others = load_experiments(1)
    assert runs == []
    assert others == {
        "unreadable": ["workspace", "aaaaaaa"],
        "failed": ["failed-0", "failed-1"],
        "running": ["running-2"],
        "queued": ["queued-3"],
        "without scores": ["success-4", "None-5"],
    }
    assert set(others) <= set(leaderboard.REMEDIES)
    with pytest.raises(InputError, match="no run has scores: unreadable: workspace, aaaaaaa"):
        leaderboard.write_board("rougeL", 1)


def test_a_run_of_an_earlier_version_is_compared_with_the_base_model() -> None:
    (record,), _ = ranked([made("old", 1e-3, 0.25)], "rougeL")
    assert (record["rougeL"], record["rougeL.difference"]) == (0.25, 0.1)
    assert (record["rougeL.best"], record["verdict"]) == ("base model", None)
