import json
from pathlib import Path
from typing import Any

import pytest
import torch

from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.adapters import FILES, add_adapter, first_weights, load_adapter, save_adapter
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import QUESTION_ANSWER_TEMPLATE, PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError

PARAMS: Train = load_params("train")
BATCH = torch.tensor([[1, 5, 9, 13]])


@pytest.fixture
def trained(base_folder: Path) -> Any:
    """An adapter whose B matrices, zero at the start, are set to something."""
    model = add_adapter(load_base(folder=base_folder), PARAMS, seed=1)
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(generator=generator, std=0.1)
    return model.eval()


def save(model: Any, tokenizer: Any, folder: Path, style: str = "chat") -> None:
    save_adapter(model, PromptEncoder(tokenizer, PromptFormat(style, None)), folder)


def test_a_fresh_adapter_changes_nothing_and_a_loaded_one_what_it_learned(
    base_folder: Path, tokenizer: Any, trained: Any, tmp_path: Path
) -> None:
    base = load_base(folder=base_folder)(BATCH).logits
    fresh = add_adapter(load_base(folder=base_folder), PARAMS, seed=1).eval()
    assert torch.equal(fresh(BATCH).logits, base)
    save(trained, tokenizer, tmp_path / "adapter")
    loaded = load_adapter(load_base(folder=base_folder), tmp_path / "adapter")
    assert torch.allclose(loaded(BATCH).logits, trained(BATCH).logits, atol=1e-5)
    assert not torch.allclose(loaded(BATCH).logits, base, atol=1e-3)


@pytest.mark.parametrize(
    "changed",
    [
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "pissa_niter_4", "use_rslora": True},
        {"use_dora": True},
        {"use_rslora": True},
        {"bias": "all"},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_every_kind_of_adapter_fits_the_base_model_as_it_is(
    base_folder: Path, tokenizer: Any, tmp_path: Path, changed: dict[str, Any]
) -> None:
    params = PARAMS.model_copy(update=changed)
    model = add_adapter(load_base(folder=base_folder), params, seed=1)
    base = load_base(folder=base_folder)(BATCH).logits
    assert torch.allclose(model.eval()(BATCH).logits, base, atol=1e-5)
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", None))
    with first_weights(model) as first:
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data += 0.01
        save_adapter(model, encoder, tmp_path / "adapter", first)
    loaded = load_adapter(load_base(folder=base_folder), tmp_path / "adapter")
    assert torch.allclose(loaded(BATCH).logits, model(BATCH).logits, atol=1e-4)
    assert not torch.allclose(loaded(BATCH).logits, base, atol=1e-2)


def test_the_folder_holds_the_declared_files_and_no_place_of_this_machine(
    base_folder: Path, tokenizer: Any, trained: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "README.md").write_text("the model card of the run before")
    save(trained, tokenizer, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "README.md"])
    for name in FILES:
        assert str(base_folder).encode() not in (folder / name).read_bytes()
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "models/base"
    assert list(tmp_path.iterdir()) == [folder]


def test_saving_twice_gives_the_same_bytes(tokenizer: Any, trained: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(trained, tokenizer, tmp_path / name)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_saved_tokenizer_has_the_template_of_the_training(
    tokenizer: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template)
    save(trained, tokenizer, tmp_path / "adapter", style="question_answer")
    saved = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    assert saved.chat_template == QUESTION_ANSWER_TEMPLATE


def test_missing_models_name_the_stage_that_makes_them(base_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing: run dvc repro download@model"):
        load_base(folder=tmp_path)
    with pytest.raises(InputError, match="is missing: run dvc repro train"):
        load_adapter(load_base(folder=base_folder), tmp_path)
