"""An experiment's model is exported from Git and DVC's cache, with another one in the workspace."""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from transformers import AutoModelForCausalLM

from medtune.commands.experiments import revision_of
from medtune.config.loading import read_yaml
from medtune.config.schema import Train
from medtune.export.merged import export_merged
from medtune.export.run_files import read_run_params, run_folder
from medtune.modeling.adapters import ADAPTER, FILES
from medtune.modeling.loading import BASE
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE
from tests.medtune.export.conftest import CARDS, ROOT, train_adapter, write_cards, write_params
from tests.projects import commit_all, run
from tests.tiny_models import random_model

pytestmark = pytest.mark.slow
TRAIN = """\
import shutil
from ruamel.yaml import YAML

params = YAML(typ="safe").load(open("params.yaml"))
shutil.copytree(f"trained/{params['train']['r']}", "models/adapter", dirs_exist_ok=True)
"""
GRAPH: dict[str, Any] = {
    "stages": {
        "download": {
            "foreach": {"model": str(BASE)},
            "do": {
                "cmd": "mkdir -p models && cp -r base ${item}",
                "deps": ["base"],
                "outs": ["${item}"],
            },
        },
        "train": {
            "cmd": f"{sys.executable} train.py",
            "params": ["seed", "train"],
            "deps": ["train.py", "trained"],
            "outs": [str(ADAPTER / name) for name in FILES],
        },
    }
}


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Any
) -> Iterator[dict[str, torch.Tensor]]:
    """A commit with a run of rank 16 and an experiment of rank 8, as the working folder.

    Yields the logits of each trained model.
    """
    folder = tmp_path_factory.mktemp("project")
    logits = {}
    with contextlib.chdir(folder):
        random_model("llama").save_pretrained(BASE)
        tokenizer.save_pretrained(BASE)
        params = read_yaml(ROOT / PARAMS_FILE)
        write_params(params)
        write_cards()
        for rank in (16, 8):
            train = Train.model_validate(params["train"] | {"r": rank})
            encoder = PromptEncoder(tokenizer, PromptFormat("chat", f"Rank {rank}."))
            logits[str(rank)] = train_adapter(train, encoder)
            shutil.copytree(ADAPTER, f"trained/{rank}")
        shutil.move(BASE, "base")
        shutil.rmtree("models")
        YAML().dump(GRAPH, Path("dvc.yaml"))
        Path("train.py").write_text(TRAIN)
        git_and_dvc(folder)
        yield logits


def git_and_dvc(folder: Path) -> None:
    run(folder, "git", "init", "-qb", "main")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "repro", "-q")
    commit_all(folder, "run")
    run(folder, "dvc", "exp", "run", "-q", "-n", "smaller", "-S", "train.r=8")
    run(folder, "git", "checkout", "-q", ".")
    run(folder, "dvc", "checkout", "-q")


def test_an_experiment_is_exported_and_the_workspace_stays(
    project: dict[str, torch.Tensor],
) -> None:
    before = {path: path.read_bytes() for path in ADAPTER.iterdir()}
    with run_folder("smaller", revision_of("smaller")) as root:
        assert (root / BASE).is_symlink()  # the base model is the workspace's own
        assert read_run_params(root).train.r == 8
        export_merged(root, Path("out").resolve())
    assert not root.exists()
    model = AutoModelForCausalLM.from_pretrained("out")
    with torch.no_grad():
        merged = model(torch.tensor([CARDS[0]])).logits[0]
    assert torch.allclose(merged, project["8"], atol=1e-4)
    assert not torch.allclose(merged, project["16"], atol=0.1)
    assert "Rank 8." in Path("out/chat_template.jinja").read_text()
    assert {path: path.read_bytes() for path in ADAPTER.iterdir()} == before
    assert json.loads((ADAPTER / "adapter_config.json").read_text())["r"] == 16


def test_the_settings_of_a_run_are_those_of_its_training(
    project: dict[str, torch.Tensor],
) -> None:
    params = read_yaml(PARAMS_FILE)
    try:
        write_params(params | {"train": params["train"] | {"quantization": "nf4"}})
        assert read_run_params(Path()).train.quantization == "none"
    finally:
        write_params(params)


def test_edited_settings_are_not_those_of_a_run(tmp_path: Path) -> None:
    shutil.copy(ROOT / PARAMS_FILE, tmp_path)
    evaluate = dict(read_yaml(ROOT / PARAMS_FILE)["evaluate"]) | {"temperature": 0.5}
    recorded: dict[str, dict[str, Any]] = {
        "download@model": {"download.model": "hub://org/base@0f0f"},
        "download@dataset": {"download.dataset": "hub://org/cards@0f0f"},
        "evaluate@finetuned": {"evaluate": evaluate, "seed": 7},
    }
    stages = {name: {"params": {"params.yaml": params}} for name, params in recorded.items()}
    YAML().dump({"stages": stages}, tmp_path / "dvc.lock")
    params = read_run_params(tmp_path)
    assert params.download.model == "hub://org/base@0f0f"
    assert params.download.dataset == "hub://org/cards@0f0f"
    assert (params.evaluate.temperature, params.seed) == (0.5, 7)


def test_test_cards_that_are_not_in_the_cache_are_left_out(
    project: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    cards = Path("data/tokens/test.arrow")
    run(Path(), "git", "rm", "-q", "--cached", str(cards))
    try:
        run(Path(), "dvc", "add", "-q", str(cards))
        commit_all(Path(), "cards in the cache")
        md5 = read_yaml(Path(f"{cards}.dvc"))["outs"][0]["md5"]
        (Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]).unlink()
        with run_folder("HEAD", revision_of("HEAD")) as root:
            assert not (root / cards).exists()
            assert (root / ADAPTER / FILES[0]).exists()
    finally:
        run(Path(), "git", "reset", "-q", "--hard", "HEAD~1")


def test_another_base_model_comes_from_the_cache(project: dict[str, torch.Tensor]) -> None:
    lock = Path("dvc.lock").read_text()
    try:
        Path("dvc.lock").unlink()
        with run_folder("HEAD", revision_of("HEAD")) as root:
            copied = {path.name: path.read_bytes() for path in (root / BASE).iterdir()}
            assert not (root / BASE).is_symlink()
    finally:
        Path("dvc.lock").write_text(lock)
    assert copied == {path.name: path.read_bytes() for path in BASE.iterdir()}


def test_an_unknown_name_says_where_to_find_the_names(project: dict[str, torch.Tensor]) -> None:
    with (
        pytest.raises(InputError, match=r"^no run is named nobody: `dvc exp list` names the exp"),
        run_folder("nobody", revision_of("nobody")),
    ):
        pass


def test_a_name_of_several_runs_is_refused(project: dict[str, torch.Tensor]) -> None:
    run(Path(), "git", "branch", "smaller")
    try:
        with pytest.raises(InputError, match=r"^smaller names several runs, \w{7} and \w{7}: name"):
            revision_of("smaller")
    finally:
        run(Path(), "git", "branch", "-D", "smaller")


def test_a_model_that_is_not_in_the_cache_says_how_to_get_it(
    project: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    cache = Path(".dvc/cache")
    shutil.move(cache, tmp_path / "cache")
    try:
        with (
            pytest.raises(InputError, match=r"^models/adapter/.* of smaller is not in DVC's cache"),
            run_folder("smaller", revision_of("smaller")),
        ):
            pass
    finally:
        shutil.move(tmp_path / "cache", cache)
