import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.preflight import checks as check
from medtune.preflight import memory as check_memory
from medtune.preflight.checks import Check, run_checks

ROOT = Path(__file__).parents[3]
RANDOM = "random://llama?hidden_size=64&num_hidden_layers=12&seed=3"


@pytest.fixture
def params() -> Params:
    return validate(read_yaml(ROOT / "params.yaml"))


@pytest.fixture(autouse=True)
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project in which nothing has run, with its launch configurations."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    monkeypatch.chdir(tmp_path)
    Path("launch").symlink_to(ROOT / "launch")
    peaks = {"train": 3 * 2**29, "evaluate": 2**29}
    monkeypatch.setattr(check_memory, "peak_bytes", lambda config, job: peaks)


def with_values(params: Params, **sections: dict[str, Any]) -> Params:
    return params.model_copy(
        update={
            name: getattr(params, name).model_copy(update=values)
            for name, values in sections.items()
        }
    )


def findings(params: Params, tmp_path: Path) -> dict[str, tuple[str, str]]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = run_checks(Check(params, scratch), quick=False)
    return {subject: (verdict, text) for subject, verdict, text in found}


def test_model_is_described_before_anything_has_run(params: Params, tmp_path: Path) -> None:
    Path("cards.csv").write_text("question,answer\n")
    own = with_values(params, download={"model": RANDOM, "dataset": "file://cards.csv"})
    found = findings(own, tmp_path)
    assert found["model"] == ("ok", f"{RANDOM} can be had")
    assert found["dataset"] == ("ok", "file://cards.csv can be had, 0 MiB")
    assert found["device"][0] == "ok" and "fp32" in found["device"][1]
    assert "in 12 layers" in found["parameters"][1]
    assert found["memory"][1].startswith("train 1.50 GiB, evaluate 0.50 GiB")
    assert "cards unknown: all 192 tokens long" in found["memory"][1]
    assert all("dvc repro" in found[name][1] for name in ("length", "time"))
    assert {path.name for path in Path.cwd().iterdir()} == {"launch", "cards.csv", "scratch"}


def test_missing_source_is_a_problem(params: Params, tmp_path: Path) -> None:
    own = with_values(params, download={"model": "file://none", "dataset": "file://none.csv"})
    found = findings(own, tmp_path)
    assert found["model"][0] == found["dataset"][0] == "problem"
    assert "dvc repro download@model" in found["parameters"][1]


def test_unknown_launch_names_those_there_are(params: Params, tmp_path: Path) -> None:
    own = with_values(params, download={"model": RANDOM}, train={"launch": "cluster"})
    verdict, text = findings(own, tmp_path)["device"]
    assert verdict == "problem" and "ddp" in text


def test_what_does_not_fit_is_a_problem_and_what_hardly_fits_a_warning() -> None:
    assert [check._fit(needed, 100) for needed in (80, 90, 101)] == ["ok", "warning", "problem"]


def test_wrong_parameters_are_one_line_and_exit_code_1(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("lr: 1.0e-3", "lr: -1")
    (tmp_path / "params.yaml").write_text(text)
    answer = subprocess.run(
        [sys.executable, "-m", "medtune", "check"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith("check: train.lr must be") and answer.stderr.count("\n") == 1
