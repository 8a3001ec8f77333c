"""Training in the processes that launch/ asks for."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from pyarrow.parquet import read_table
from ruamel.yaml import YAML

from medtune.modeling.distributed import passes_of_process
from medtune.modeling.launch import launch
from medtune.runtime.errors import InputError
from tests.loopback_server import free_port
from tests.projects import ROOT, run, warm_environment

KINDS = ("", "_choices", "_general")
CONFIGS = sorted((ROOT / "launch").glob("*.yaml"))


Curves = tuple[list[list[float]], dict[str, float]]


@pytest.fixture(scope="module")
def project(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launch") / "project"
    shutil.copytree(smoke, folder, symlinks=True)
    set_params(folder, "train", num_train_epochs=4)
    return folder


@pytest.fixture(scope="module")
def alone(project: Path) -> Curves:
    """What one process gives, with the global batch of two processes that accumulate half."""
    return trained(project, launch="local", gradient_accumulation_steps=4)


def set_params(project: Path, section: str, **changed: object) -> None:
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    params[section] |= changed
    yaml.dump(params, project / "params.yaml")


def results(project: Path) -> Curves:
    """The points of the two curves, and the metrics."""
    rows = []
    for curve in ("train", "validation"):
        with (project / f"plots/train/{curve}.csv").open() as file:
            rows += [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    return rows, json.loads((project / "metrics/train.json").read_text())


def trained(project: Path, **changed: object) -> Curves:
    set_params(project, "train", **changed)
    done = run(project, "python", "-m", "stages.train")
    assert done.stderr.count("parameters are trained") == 1  # one process speaks
    return results(project)


def test_accelerate_reads_every_configuration() -> None:
    assert len(CONFIGS) >= 7
    for path in CONFIGS:
        config = load_config_from_file(str(path))
        assert config.num_processes >= config.num_machines >= 1


def test_an_unknown_name_lists_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = "cpu, ddp, fsdp, gpu, local, two_cpus, two_nodes"
    for name, end in (("gpus", "gpus: did you mean gpu?"), ("slurm", "slurm")):
        with pytest.raises(InputError) as caught:
            launch(name, "stages.train")
        assert str(caught.value) == f"train.launch must be one of {names}, got {end}"


@pytest.mark.parametrize("name", ["gpu", "ddp", "fsdp"])
def test_a_missing_gpu_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match=f"launch/{name}.yaml asks for a GPU, but torch"):
        launch(name, "stages.train")


def test_one_process_is_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("started another process"))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "unset")
    launch("local", "stages.train")
    assert os.environ["ACCELERATE_USE_CPU"] == "False"
    launch("cpu", "stages.train")
    assert os.environ["ACCELERATE_USE_CPU"] == "True"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_process_sees_other_rows_and_all_are_seen(count: int) -> None:
    passes = [[0, 1], [2, 3], [4], [5, 6], [7]]
    shares = [passes_of_process(passes, count, process) for process in range(count)]
    assert len({len(own) for own in shares}) == 1  # DDP waits for each
    weighted = [rows for own in shares for rows, weight in own if weight]
    assert sorted(weighted) == passes


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_at_the_same_global_batch(
    project: Path, alone: Curves
) -> None:
    one, metrics = alone
    two, same = trained(project, gradient_accumulation_steps=2, launch="two_cpus")
    assert len(one) == len(two) > 6
    for point, other in zip(one, two, strict=True):
        assert other == pytest.approx(point, rel=1e-4)
    assert metrics == pytest.approx(same, rel=1e-4)
    assert (metrics["tokens"], metrics["steps"]) == (same["tokens"], same["steps"])


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [3, 200])
def test_two_processes_share_out_the_questions(project: Path, batch_size: int) -> None:
    rows = []
    for name in ("local", "two_cpus"):
        set_params(project, "evaluate", launch=name, batch_size=batch_size, max_new_tokens=6)
        said = run(project, "python", "-m", "stages.evaluate", "base").stderr
        assert said.count("questions → ROUGE-L") == 1  # one process speaks, and writes
        tables = [read_table(project / f"data/predictions/base{kind}.parquet") for kind in KINDS]
        rows.append([row for table in tables for row in table.to_pylist()])
    one, two = rows
    assert len(one) > 12 and [row["question"] for row in one] == [row["question"] for row in two]
    for row, other in zip(one, two, strict=True):
        assert row.get("prediction") == other.get("prediction")
        assert row.get("chosen") == other.get("chosen")
        assert row.get("nll", 0) == pytest.approx(other.get("nll", 0), rel=1e-5)


@pytest.mark.slow
def test_fsdp_gives_each_process_half_of_the_weights(base_folder: Path, tmp_path: Path) -> None:
    config = YAML().load(ROOT / "launch/fsdp.yaml") | {"use_cpu": True}
    YAML().dump(config, tmp_path / "fsdp.yaml")

    def trained(accumulated: int, *command: str) -> dict[str, Any]:
        worker = ("-m", "tests.fsdp_worker", str(base_folder), str(accumulated))
        done = run(ROOT, "env", "ACCELERATE_USE_CPU=true", *command, *worker)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    alone = trained(2, "python")
    both = trained(1, "accelerate", "launch", "--config_file", str(tmp_path / "fsdp.yaml"))
    assert (alone["sharded"], alone["share"]) == (0, 1)
    assert both["sharded"] == 2 + 1  # each of the two layers, and the rest
    assert both["share"] == pytest.approx(0.5, abs=0.02)
    assert len(alone["losses"]) > 6
    assert both["losses"] == pytest.approx(alone["losses"], rel=1e-4)


@pytest.mark.slow
def test_two_machines_train_together(project: Path, alone: Curves) -> None:
    """Two launchers on loopback stand for two nodes, with the example's second command."""
    one, _ = alone
    config = YAML().load(project / "launch/two_nodes.yaml")
    config |= {"num_processes": 2, "use_cpu": True}
    config |= {"main_process_ip": "127.0.0.1", "main_process_port": free_port()}
    YAML().dump(config, project / "launch/two_nodes.yaml")
    set_params(project, "train", launch="two_nodes", gradient_accumulation_steps=2)
    launcher = "accelerate launch --config_file launch/two_nodes.yaml --machine_rank 1"
    second = subprocess.Popen(
        [*launcher.split(), "-m", "stages.train"],
        cwd=project,
        env=warm_environment() | {"ACCELERATE_USE_CPU": "true"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        two, _ = trained(project)
        assert second.wait(timeout=60) == 0, second.stderr
    finally:
        second.kill()
    for point, other in zip(one, two, strict=True):
        assert other == pytest.approx(point, rel=1e-4)
