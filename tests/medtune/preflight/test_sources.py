import json
import os
import sys
from pathlib import Path

import pytest

from medtune.preflight.memory import Decoder
from medtune.preflight.sources import ask_source, find_config
from medtune.runtime.errors import InputError
from medtune.sources.fetch import Target, fetch
from tests.hub_server import HubServer

MODEL = {"config.json": b"{}", "model.safetensors": b"weights" * 99, "tokenizer.json": b"{}"}


@pytest.fixture
def hub(hub_server: HubServer) -> HubServer:
    hub_server.repositories = {"o/tiny": MODEL, "datasets/o/cards": {"a.csv": b"question,answer"}}
    return hub_server


def message(uri: str, target: Target = "model") -> str:
    with pytest.raises(InputError) as caught:
        ask_source(uri, target)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.slow
def test_the_hub_says_how_large_the_download_is(hub: HubServer) -> None:
    assert ask_source("hub://o/tiny@main", "model") == sum(map(len, MODEL.values()))
    assert ask_source("hub://o/cards@main", "dataset") == len(b"question,answer")


def test_a_gated_repository_is_reported_before_anything_is_downloaded(hub: HubServer) -> None:
    hub.closed["o/tiny"] = (403, "GatedRepo")
    assert "is gated: accept its terms" in message("hub://o/tiny@main")


def test_a_missing_revision_is_reported(hub: HubServer) -> None:
    assert "no such revision" in message("hub://o/tiny@v2")


def test_only_the_config_is_downloaded_from_the_hub(hub: HubServer, tmp_path: Path) -> None:
    assert find_config("hub://o/tiny@main", tmp_path) == tmp_path
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["config.json"]


def test_the_config_of_a_random_model_equals_the_one_that_a_run_writes(tmp_path: Path) -> None:
    uri = "random://llama?hidden_size=32&num_hidden_layers=1&num_attention_heads=2"
    fetch(uri, "model", tmp_path / "made")
    (tmp_path / "asked").mkdir()
    folder = find_config(uri, tmp_path / "asked")
    assert folder and Decoder.read(folder) == Decoder.read(tmp_path / "made")
    with pytest.raises(InputError, match="whole number"):
        find_config("random://llama?num_hidden_layers=many", tmp_path)


def test_a_config_inside_the_weights_is_not_read() -> None:
    assert find_config("pypi://cards==1.0/model.gguf", Path()) is None


def test_a_file_has_a_size_and_a_missing_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cards.csv").write_bytes(b"question,answer")
    assert ask_source(f"file://{tmp_path}", "dataset") == 15
    assert "missing or empty" in message(f"file://{tmp_path}/none", "dataset")


def test_the_home_of_an_unknown_user_is_missing() -> None:
    assert "is missing" in message("file://~nobody-of-this-name/model")


@pytest.mark.slow
def test_the_error_of_a_server_is_reported(hub: HubServer) -> None:
    assert "404" in message(f"{hub.url}/none.csv#sha256=0", "dataset")


def test_pip_resolves_a_wheel_without_downloading_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (tmp_path / "w.whl").as_uri()
    found = {"url": url, "archive_info": {"hashes": {"sha256": "a" * 64}}}
    answer = json.dumps({"install": [{"download_info": found}]})
    (tmp_path / "w.whl").write_bytes(b"12345")
    (tmp_path / "python").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert ask_source("pypi://cards==1.0/a.csv", "dataset") == 5
    assert ask_source(f"pypi://cards==1.0/a.csv#sha256={'a' * 64}", "dataset") == 5
    assert "w.whl has sha256 aaaa" in message(f"pypi://cards==1.0/a.csv#sha256={'b' * 64}")


@pytest.mark.slow
def test_an_unknown_version_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert "cards==1.0" in message("pypi://cards==1.0/a.csv", "dataset")
