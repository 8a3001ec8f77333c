import sys
from pathlib import Path
from typing import Any

import pytest

from medtune.config.loading import read_yaml, validate
from medtune.config.schema import Params
from medtune.preflight.checks import findings
from medtune.runtime.errors import InputError
from tests.projects import ROOT, run

LLAMA_8B = "random://llama?hidden_size=4096&intermediate_size=14336&num_attention_heads=32"
LLAMA_8B += "&num_key_value_heads=8&num_hidden_layers="


@pytest.fixture
def params() -> Params:
    return validate(read_yaml(ROOT / "params.yaml"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing has run, with cards to download."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    (tmp_path / "cards.csv").write_text("question,answer\n")
    return tmp_path


def with_values(params: Params, **sections: dict[str, Any]) -> Params:
    changed = {
        name: getattr(params, name).model_copy(update=values) for name, values in sections.items()
    }
    return params.model_copy(update=changed)


def found(params: Params, project: Path, device: str | None) -> dict[str, tuple[str, str]]:
    scratch = project / "scratch"
    scratch.mkdir()
    return dict(findings(params, scratch, device, time_steps=True))


@pytest.mark.slow
def test_everything_is_said_before_anything_has_run(params: Params, project: Path) -> None:
    sources = {"model": "random://llama?num_hidden_layers=12", "dataset": "file://cards.csv"}
    texts = found(with_values(params, download=sources), project, "cpu")
    assert texts["model"] == ("ok", "random://llama?num_hidden_layers=12 can be downloaded")
    assert texts["device"][1].startswith("cpu with ") and texts["device"][1].endswith("fp32")
    assert "192 tokens assumed" in texts["cards"][1]
    assert "in 12 layers" in texts["weights"][1]
    assert texts["memory"][0] == "ok"
    assert "dvc repro tokenize" in texts["time"][1]
    assert {path.name for path in project.iterdir()} == {"launch", "cards.csv", "scratch"}


def test_a_model_too_large_for_a_device_comes_with_changes_that_fit(
    params: Params, project: Path
) -> None:
    sources = {"model": LLAMA_8B + "32", "dataset": "file://cards.csv"}
    own = with_values(params, download=sources)
    verdict, text = found(own, project, "l4")["memory"]
    assert verdict == "problem"
    assert text.endswith(
        "22.0 GiB free: set train.per_device_train_batch_size to 4 "
        "and train.gradient_accumulation_steps to 2 and evaluate.batch_size to 100"
    )
    followed = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    own = with_values(own, train=followed, evaluate={"batch_size": 100})
    assert dict(findings(own, project / "scratch", "l4", False))["memory"][0] != "problem"
    own = with_values(own, download=sources | {"model": LLAMA_8B + "80"})
    verdict, text = dict(findings(own, project / "scratch", "t4", False))["memory"]
    assert verdict == "problem" and "choose a smaller model" in text


def test_a_missing_source_is_a_problem(params: Params, project: Path) -> None:
    own = with_values(params, download={"model": "file://none", "dataset": "file://none.csv"})
    texts = found(own, project, "cpu")
    assert texts["model"][0] == texts["dataset"][0] == "problem"
    assert "dvc repro download@model" in texts["weights"][1]


def test_a_remote_without_its_package_names_the_command_that_installs_it(
    params: Params, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dvc_s3", None)
    (project / ".dvc").mkdir()
    config = "[core]\n remote = team\n['remote \"team\"']\n url = s3://bucket/medtune\n"
    (project / ".dvc/config").write_text(config)
    own = with_values(params, download={"model": "file://none", "dataset": "file://none.csv"})
    said = "s3://bucket/medtune needs the package dvc-s3: run `make .venv/remotes`"
    assert found(own, project, "cpu")["remote"] == ("problem", said)


def test_an_unknown_device_or_launch_names_those_that_there_are(
    params: Params, project: Path
) -> None:
    with pytest.raises(InputError, match=r"must be one of cpu, t4, .*, got t5"):
        found(params, project, "t5")
    with pytest.raises(InputError, match=r"one of cpu, ddp, .*, got gpus: did you mean gpu\?"):
        list(findings(with_values(params, train={"launch": "gpus"}), project, None, False))


@pytest.mark.slow
def test_a_named_device_is_checked_without_loading_torch(params: Params, project: Path) -> None:
    """Loading it or transformers takes longer than the check."""
    sources = {"model": f"{LLAMA_8B}1", "dataset": "file://cards.csv"}
    chosen = with_values(params, download=sources).model_dump_json()
    (project / "params.yaml").write_text(chosen)  # JSON is YAML
    code = (
        "import sys\nfrom medtune.preflight.checks import check\ncheck('t4', False)\n"
        "print({'torch', 'transformers'} & {*sys.modules})"
    )
    said = run(project, "env", f"PYTHONPATH={ROOT}", sys.executable, "-c", code).stdout
    assert "GiB free" in said and said.endswith("set()\n")
