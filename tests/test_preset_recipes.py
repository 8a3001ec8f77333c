"""Each published system's preset trains, and its sweep queues with one command.

The smoke preset's random model and cards stand in for the published ones, which the package index
does not carry; of everything else only precision and the number of cards are what a CPU can do.
"""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.cli import main as dvc
from ruamel.yaml import YAML

from medtune.commands import experiments
from medtune.commands import preset as presets
from medtune.modeling.loading import load_tokenizer
from tests.projects import copy_project, run

pytestmark = pytest.mark.slow

PUBLISHED = ("medical-education", "healthcare-assistant", "medical-llm-assistant", "med-llama")
BATCHES = 2  # of cards, so that accumulation makes a step of both


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    return folder


def use(folder: Path, name: str) -> presets.Preset:
    """Writes a preset with the smoke preset's model and cards into params.yaml."""
    run(folder, "python", "-m", "medtune", "preset", name)
    smoke, preset = presets.load("smoke"), presets.load(name)
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for key in ("download.model", "download.dataset", "clean.reader", "clean.columns"):
        section, field = key.split(".")
        params[section][field] = smoke.values[key]
    size = BATCHES * params["train"]["per_device_train_batch_size"]
    params["split"]["max_records"] = {"train": size, "validation": 2, "test": 2}
    params["train"]["precision"] = "auto"  # fp16 runs on a CPU too, at two tokens a second
    yaml.dump(params, folder / "params.yaml")
    return preset


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_preset_trains(project: Path, name: str) -> None:
    values = use(project, name).values
    log = run(project, "dvc", "repro", "train").stderr
    steps_per_epoch = math.ceil(BATCHES / values["train.gradient_accumulation_steps"])
    steps = values["train.num_train_epochs"] * steps_per_epoch
    metrics = json.loads((project / "metrics/train.json").read_text())
    assert metrics["steps"] == steps
    vocabulary = len(load_tokenizer(project / "models/base"))
    assert metrics["validation_loss"] == pytest.approx(math.log(vocabulary), abs=0.5)
    config = json.loads((project / "models/adapter/adapter_config.json").read_text())
    for key in ("r", "lora_alpha", "lora_dropout", "bias"):
        assert config[key] == values[f"train.{key}"]
    targets = values["train.target_modules"]
    assert targets == "all-linear" or sorted(targets) == config["target_modules"]
    assert f"quantization {values['train.quantization']}" in log


@pytest.fixture(scope="module")
def queueing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one stage and few files, which DVC looks through for each experiment."""
    folder = tmp_path_factory.mktemp("queueing")
    copy_project(folder)
    run(folder, "git", "rm", "-rq", "app", "benchmarks", "docs", "metrics", "plots", "tests")
    stage = "cmd: python -m stages.train\n    params: [train]"
    (folder / "dvc.yaml").write_text(f"stages:\n  train:\n    {stage}\n")
    run(folder, "git", "commit", "-qam", "a short pipeline")
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_sweep_queues(queueing: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dvc_here(command: list[str], **_: bool) -> SimpleNamespace:
        """Runs `python -m dvc …` in this process: importing it takes longer than queueing."""
        return SimpleNamespace(returncode=dvc(command[3:]))

    preset = presets.load(name)
    run(queueing, "python", "-m", "medtune", "preset", name)
    monkeypatch.chdir(queueing)
    monkeypatch.setattr(experiments.subprocess, "run", dvc_here)
    experiments.queue_experiments(presets.queue_commands(preset))
    monkeypatch.undo()
    queued = run(queueing, "dvc", "queue", "status").stdout
    commands = presets.queue_commands(preset)
    assert len(commands) > 2
    for command in commands:
        experiment = command[command.index("--name") + 1]
        assert re.search(rf"\s{re.escape(experiment)}\s.*Queued", queued), queued
