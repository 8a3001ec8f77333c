import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.adapters import FILES, add_adapter, first_weights, load_adapter, save_adapter
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError
from tests.tiny_models import as_if_trained, random_model

PARAMS: Train = load_params("train")
BATCH = torch.tensor([[1, 5, 9, 13]])


@pytest.fixture
def trained(base_folder: Path) -> Any:
    return as_if_trained(add_adapter(load_base(folder=base_folder), PARAMS, seed=1)).eval()


def save(model: Any, tokenizer: Any, folder: Path, style: str = "chat") -> None:
    save_adapter(model, PromptEncoder(tokenizer, PromptFormat(style, None)), folder)


@pytest.mark.slow
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


STARTS = (True, "gaussian", "pissa", "pissa_niter_4")
GRID = [
    {"init_lora_weights": start, "bias": bias, "use_dora": dora, "use_rslora": rslora}
    for start, bias, dora, rslora in product(
        STARTS, ("none", "all", "lora_only"), (False, True), (False, True)
    )
]


@pytest.mark.slow
def test_every_adapter_comes_back_as_it_was_trained_or_is_refused(
    tokenizer: Any, tmp_path: Path
) -> None:
    refused = []
    for options in GRID:
        try:
            params = Train.model_validate(PARAMS.model_dump() | options)
        except ValidationError:
            refused.append(options)
            continue
        trained, loaded = saved_and_loaded(params, tokenizer, tmp_path / "adapter")
        assert torch.allclose(loaded, trained, atol=1e-4), options
    assert refused == [
        options
        for options in GRID
        if str(options["init_lora_weights"]).startswith("pissa")
        and (options["use_dora"] or options["bias"] != "none")
    ]


def saved_and_loaded(params: Train, tokenizer: Any, folder: Path) -> tuple[Any, Any]:
    """Logits of an adapter whose weights have changed, in memory and loaded again."""

    def base() -> Any:  # a Llama with biases, so that there are some to train
        return random_model("llama", attention_bias=True, mlp_bias=True, initializer_range=0.05)

    model = add_adapter(base(), params, seed=1).eval()
    assert torch.allclose(model(BATCH).logits, base()(BATCH).logits, atol=1e-4)
    with first_weights(model) as first:
        for number, weight in enumerate(w for w in model.parameters() if w.requires_grad):
            weight.data += 0.01 * (1 + number % 3)
        trained = model(BATCH).logits
        assert not torch.allclose(trained, base()(BATCH).logits, atol=1e-2)
        save_adapter(model, PromptEncoder(tokenizer, PromptFormat("chat", None)), folder, first)
    return trained, load_adapter(base(), folder)(BATCH).logits


def test_all_linear_layers_of_a_state_space_model_are_refused_with_their_names() -> None:
    with pytest.raises(InputError, match=r"all-linear, .* type mamba .*: choose from .*in_proj"):
        add_adapter(random_model("mamba"), PARAMS, seed=1)
    chosen = PARAMS.model_copy(update={"target_modules": ["in_proj", "x_proj"]})
    assert add_adapter(random_model("mamba"), chosen, seed=1).get_nb_trainable_parameters()[0] > 0


@pytest.mark.slow
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


@pytest.mark.slow
def test_saving_twice_gives_the_same_bytes(tokenizer: Any, trained: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(trained, tokenizer, tmp_path / name)
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_the_saved_tokenizer_has_the_template_of_the_training(
    tokenizer: Any, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template)
    save(trained, tokenizer, tmp_path / "adapter", style="question_answer")
    saved = AutoTokenizer.from_pretrained(tmp_path / "adapter")
    assert "Question: " in saved.chat_template
    asked = [{"role": "user", "content": "What is it?"}]
    ids = saved.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    encoder = PromptEncoder(tokenizer, PromptFormat("question_answer", None))
    assert ids == encoder.question_ids("What is it?")


def test_missing_models_name_the_stage_that_makes_them(base_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing: run dvc repro download@model"):
        load_base(folder=tmp_path)
    with pytest.raises(InputError, match="is missing: run dvc repro train"):
        load_adapter(load_base(folder=base_folder), tmp_path)
