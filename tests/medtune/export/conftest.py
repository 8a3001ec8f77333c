"""Runs of the pipeline that end with the training: a tiny base model and an adapter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medtune.config.loading import read_yaml
from medtune.config.schema import Train
from medtune.modeling.adapters import ADAPTER, add_adapter, first_weights, save_adapter
from medtune.modeling.loading import BASE, load_base
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import SCHEMA, TOKENS, token_writer
from medtune.runtime.params_file import PARAMS_FILE
from tests.tiny_models import random_model

ROOT = Path(__file__).parents[3]
SYSTEM = "Be brief."
CARDS = [[1, *range(5, 60), 2], [1, 9, 13, 7, 70, 2]]
MakeRun = Callable[..., torch.Tensor]


@pytest.fixture
def make_run(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Makes a run in the working folder; returns the logits of the trained model for CARDS[0]."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template)

    def make(
        kind: str = "llama", prompt_format: PromptFormat | None = None, **changes: Any
    ) -> torch.Tensor:
        train = {name: changes.pop(name) for name in list(changes) if name in Train.model_fields}
        size = 300 if len(tokenizer) < 300 else len(tokenizer) + 20  # some ids have no token
        random_model(kind, vocab_size=size, **changes).save_pretrained(BASE)
        tokenizer.save_pretrained(BASE)
        params = read_yaml(ROOT / PARAMS_FILE)
        params["train"] |= train
        write_params(params)
        write_cards()
        encoder = PromptEncoder(tokenizer, prompt_format or PromptFormat("chat", SYSTEM))
        return train_adapter(Train.model_validate(params["train"]), encoder)

    return make


def train_adapter(train: Train, encoder: PromptEncoder) -> torch.Tensor:
    """Saves an adapter with random changes; returns its logits (tokens, vocabulary)."""
    base = load_base("fp32", train.quantization)
    model = add_adapter(base, train, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    with first_weights(model) as first:
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
        save_adapter(model, encoder, ADAPTER, first)
    with torch.no_grad():
        return model(torch.tensor([CARDS[0]])).logits[0]


def write_params(params: Any) -> None:
    from ruamel.yaml import YAML

    YAML().dump(params, PARAMS_FILE)


def write_cards() -> None:
    import pyarrow as pa

    TOKENS.mkdir(parents=True, exist_ok=True)
    rows = {name: [None] * len(CARDS) for name in SCHEMA.names} | {"input_ids": CARDS}
    with token_writer(TOKENS / "test.arrow") as writer:
        writer.write_table(pa.table(rows, SCHEMA))
