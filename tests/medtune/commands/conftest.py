"""A made-up run, and a hub on loopback to which its files are pushed."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from gguf import GGUFWriter
from huggingface_hub import ModelCard
from ruamel.yaml import YAML

from medtune.commands import push, summary
from medtune.config.loading import read_params
from medtune.report.facts import Facts
from medtune.report.model_card import render_model_card
from tests.upload_server import TOKEN, UploadServer, running_upload_hub

ROOT = Path(push.__file__).parents[2]
REPO = "someone/adapter"
ADAPTER = Path("models/adapter")
PUSH = ("push", str(ADAPTER), REPO)
Run = Callable[..., int]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadServer]:
    """A hub on loopback in place of the real one, and a token that may write to it."""
    with running_upload_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        yield server


@pytest.fixture
def new_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing has run, as the working folder."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def project(facts: Facts, new_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose recorded run made the adapter in it."""
    monkeypatch.setattr(summary, "commit", lambda: "abc1234")
    ADAPTER.mkdir(parents=True)
    (ADAPTER / ".gitignore").write_text("/adapter_model.safetensors\n")
    (ADAPTER / "adapter_model.safetensors").write_bytes(os.urandom(3000))
    (ADAPTER / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "models/base", "r": 16})
    )
    (ADAPTER / "README.md").write_text(render_model_card(facts))
    Path("metrics").mkdir()
    summary.SCORES.write_text(json.dumps(facts.metrics["compare_scores"]))
    record()
    return new_project


def record(**download: str) -> None:
    """Writes a dvc.lock in which compare has seen the adapter that is there now."""
    params = read_params().model_dump()
    params["download"] |= download
    weights = ADAPTER / "adapter_model.safetensors"
    seen = {"path": str(weights), "md5": md5(weights)}
    compare = {"cmd": "-", "deps": [seen], "params": {"params.yaml": params}}
    with Path("dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": {"compare": compare}}, file)


def md5(path: Path = ADAPTER / "adapter_model.safetensors") -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_gguf(path: Path, adapter: str | None = None, key: str = "general.name") -> None:
    """Writes a file without tensors that names an adapter, by default the one that is there."""
    writer = GGUFWriter(None, "llama")
    writer.add_string("medtune.adapter_md5", adapter or md5())
    writer.add_string(key, "medtune")
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.close()


def write_merged(folder: Path, adapter: str | None = None) -> None:
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}")
    (folder / "README.md").write_text(
        f"---\nlicense: mit\nmedtune:\n  adapter_md5: {adapter or md5()}\n---\n\n# Mine\n\n"
        'from_pretrained("FOLDER")\n'
    )


def front_matter(content: bytes) -> dict[str, Any]:
    return ModelCard(content.decode()).data.to_dict()


def sent(hub: UploadServer, method: str) -> list[str]:
    return [line for line in hub.received if line.startswith(method)]
