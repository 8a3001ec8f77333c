"""A random two-layer Llama with a byte-level tokenizer, for all tests that need a model."""

import os
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from medtune.checkpoints import write_random_llama

    folder = tmp_path_factory.mktemp("models") / "base"
    write_random_llama(folder, seed=0)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base_folder: Path) -> Any:
    from medtune.models import load_tokenizer

    return load_tokenizer(base_folder)
