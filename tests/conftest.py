"""A random two-layer Llama with a byte-level tokenizer, for all tests that need a model."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_server import HubServer, running_hub

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models: more threads only wait for each other


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from medtune.sources.conversion import write_random_llama

    folder = tmp_path_factory.mktemp("models") / "base"
    write_random_llama(folder, seed=0)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base_folder: Path) -> Any:
    from medtune.modeling.loading import load_tokenizer

    return load_tokenizer(base_folder)


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A model hub on loopback, which is asked in place of the real one, without waits."""
    import huggingface_hub.constants

    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("medtune.sources.hub.RETRY_WAITS_S", (0.0, 0.0))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield server
