"""The folder that the command writes, and the page in it, started as a Space starts it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import httpx2
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from medtune.commands.ask import answers
from medtune.config.loading import load_params, read_params
from medtune.disclaimer import DISCLAIMER
from medtune.export.hub import read_upload
from medtune.export.space import PACKAGES, ROOT, export, modules_of
from medtune.export.space_app import local
from medtune.modeling.adapters import add_adapter, save_adapter
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from tests.fetching import tree
from tests.loopback_server import free_port
from tests.tiny_models import as_if_trained
from tests.waiting import until

QUESTION = "What is gout?"
LOCKS = ("params.yaml", "requirements.txt", "requirements-app.txt", "LICENSE")


@pytest.fixture
def project(
    base_folder: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project with a random base model and an adapter that changes its answers."""
    for name in LOCKS:
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base_folder, "models/base")
    model = as_if_trained(add_adapter(load_base(), load_params("train"), seed=1))
    save_adapter(model, PromptEncoder(tokenizer, PromptFormat("chat", "You are a tutor.")))
    return tmp_path


def front_matter(folder: Path) -> Any:
    return YAML(typ="safe").load((folder / "README.md").read_text().split("---\n")[1])


@pytest.mark.slow
def test_the_folder_says_what_a_space_needs_to_know(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "space"
    export(folder, None, None)
    lock = (project / "requirements-app.txt").read_text()
    card = front_matter(folder)
    assert card["sdk"] == "gradio" and f"\ngradio=={card['sdk_version']}\n" in lock
    assert (folder / card["app_file"]).is_file() and len(card["short_description"]) <= 60
    assert DISCLAIMER in (folder / "README.md").read_text()
    _, *pins = (folder / "requirements.txt").read_text().splitlines()
    assert [pin.split("==")[0] for pin in pins] == list(PACKAGES)
    assert all(f"\n{pin}\n" in lock for pin in pins)
    assert read_upload(folder).kind == "Space"


@pytest.mark.slow
def test_the_folder_is_replaced_and_its_bytes_stay_the_same(project: Path) -> None:
    export(project / "space", None, None)
    first = tree(project / "space")
    (project / "space/medtune/old.py").touch()
    export(project / "space", None, None)
    assert first == tree(project / "space")


@pytest.mark.slow
def test_only_the_modules_that_the_page_imports_are_copied() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in modules_of(ROOT / "app/__init__.py")}
    assert names == set()
    names = {p.relative_to(ROOT).as_posix() for p in modules_of(ROOT / "medtune/disclaimer.py")}
    assert names == set()
    page = ROOT / "medtune/export/space_app.py"
    names = {path.relative_to(ROOT).as_posix() for path in modules_of(page)}
    assert {"medtune/__init__.py", "medtune/modeling/__init__.py"} <= names
    assert "medtune/runtime/errors.py" in names, "is imported by what the page imports"
    assert not any(name.startswith(("medtune/training", "medtune/report")) for name in names)


@pytest.mark.slow
def test_models_of_a_hub_are_named_and_not_copied(project: Path) -> None:
    export(project / "space", "me/adapter", "org/base@0f0f")
    settings = json.loads((project / "space/space.json").read_text())
    assert settings["adapter"] == {"repository": "me/adapter"}
    assert settings["base"] == {"repository": "org/base", "revision": "0f0f"}
    assert not list((project / "space").rglob("*.safetensors"))


@pytest.mark.slow
def test_a_base_model_that_came_from_a_hub_comes_from_there(project: Path) -> None:
    text = re.sub("model: pypi:.*", "model: hub://org/base@0f0f", Path("params.yaml").read_text())
    Path("params.yaml").write_text(text)
    export(project / "space", None, None)
    settings = json.loads((project / "space/space.json").read_text())
    assert settings["base"] == {"repository": "org/base", "revision": "0f0f"}
    assert not (project / "space/base").exists()


def test_the_page_downloads_what_its_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(repository: str, **options: Any) -> str:
        asked.append((repository, options["revision"]))
        return "/downloaded"

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert local({"folder": "adapter"}, tmp_path) == tmp_path / "adapter"
    assert local({"repository": "me/adapter"}, tmp_path) == Path("/downloaded")
    assert local({"repository": "org/base", "revision": "0f"}, tmp_path) == Path("/downloaded")
    assert asked == [("me/adapter", None), ("org/base", "0f")]


def installed_by(requirements: list[str]) -> set[str]:
    """The distributions that pip would install for some requirements, with all they need."""
    found: set[str] = set()
    waiting = requirements
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting = [*waiting, *(distribution(name).requires or [])]
    return found


def hide_other_packages(folder: Path, requirements: list[str]) -> None:
    """Writes a sitecustomize.py with which only what the requirements install can be imported."""
    installed = installed_by(requirements)
    hidden = [
        module
        for module, names in sorted(packages_distributions().items())
        if module != "medtune" and not installed & {canonicalize_name(name) for name in names}
    ]
    assert {"dvc", "datasets", "ruamel"} <= {*hidden}
    folder.mkdir()
    text = f"import sys\nsys.modules.update(dict.fromkeys({hidden!r}))\n"  # None: no such module
    (folder / "sitecustomize.py").write_text(text)


@contextmanager
def running_space(folder: Path, hiding: Path) -> Iterator[str]:
    """Starts the app_file of a Space and yields its address."""
    port = free_port()
    environment = os.environ | {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "PYTHONPATH": str(hiding),
    }
    command = [sys.executable, front_matter(folder)["app_file"]]
    log = (hiding / "log").open("w+")
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    def listens() -> bool:
        assert process.poll() is None, (hiding / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, seconds=180)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        log.close()


def asked(address: str, question: str) -> list[str]:
    """What the page shows after a question, by Gradio's own API."""
    call = f"{address}/gradio_api/call/answers"
    event = httpx2.post(call, json={"data": [question]}).json()["event_id"]
    stream = httpx2.get(f"{call}/{event}", timeout=60).text
    (data,) = re.findall(r"^event: complete\ndata: (.*)$", stream, re.M)
    return json.loads(data)


@pytest.mark.slow
def test_a_started_space_answers_as_medtune_ask_does(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "space"
    export(folder, None, None)
    _, *pins = (folder / "requirements.txt").read_text().splitlines()
    gradio = f"gradio=={front_matter(folder)['sdk_version']}"
    hide_other_packages(tmp_path / "hiding", [gradio, *pins])
    expected = [text for _, text in answers(QUESTION, ("base", "finetuned"), read_params())]
    with running_space(folder, tmp_path / "hiding") as address:
        assert DISCLAIMER in httpx2.get(f"{address}/config").text
        assert asked(address, QUESTION) == expected
        assert asked(address, "  ") == ["", ""]
    assert expected[0] != expected[1]
