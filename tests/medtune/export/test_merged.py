import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from medtune.config.loading import read_yaml
from medtune.export.merged import export_merged
from medtune.export.provenance import adapter_md5, md5_in_card
from medtune.modeling.adapters import ADAPTER
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.runtime.errors import InputError
from medtune.runtime.params_file import PARAMS_FILE
from tests.medtune.export.conftest import CARDS, SYSTEM, MakeRun, write_params

pytestmark = pytest.mark.slow

QUESTIONS = ["What is gout?", "Is a fever of 38.5 °C dangerous?"]
OUT = Path("out")


def exported_logits() -> torch.Tensor:
    export_merged(Path(), OUT)
    model = AutoModelForCausalLM.from_pretrained(OUT)
    assert model.dtype == torch.float32
    with torch.no_grad():
        return model(torch.tensor([CARDS[0]])).logits[0]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"use_dora": True}),
        ("llama", {"use_rslora": True, "r": 4}),
        ("llama", {"init_lora_weights": "pissa"}),
        ("llama", {"bias": "all", "attention_bias": True}),
        ("qwen2", {"bias": "lora_only", "tie_word_embeddings": True}),
        ("gpt_neox", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_the_reloaded_folder_has_the_logits_of_base_and_adapter(
    kind: str, changes: dict[str, Any], make_run: MakeRun
) -> None:
    trained = make_run(kind, **changes)
    assert torch.allclose(exported_logits(), trained, atol=1e-4)
    base = AutoModelForCausalLM.from_pretrained("models/base")
    with torch.no_grad():
        assert not torch.allclose(base(torch.tensor([CARDS[0]])).logits[0], trained, atol=0.1)


def test_an_adapter_of_quantised_weights_is_measured_on_the_full_ones(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    trained = make_run(quantization="nf4")
    with caplog.at_level(logging.INFO):
        merged = exported_logits()
    largest = float(caplog.text.split("by at most ")[1].split(";")[0])
    assert "2 test cards, 63 tokens" in caplog.text and "base weights are nf4" in caplog.text
    assert 0 < (merged - trained).abs().max() <= largest * 1.05
    assert largest > 0.01


def test_transformers_alone_makes_the_prompts_of_the_training(
    make_run: MakeRun, tokenizer: Any
) -> None:
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", SYSTEM))
    trained = [encoder.question_ids(question) for question in QUESTIONS]
    make_run()
    export_merged(Path(), OUT)
    loaded = AutoTokenizer.from_pretrained(OUT)
    for question, ids in zip(QUESTIONS, trained, strict=True):
        messages = [{"role": "user", "content": question}]
        made = loaded.apply_chat_template(messages, add_generation_prompt=True)
        assert made["input_ids"] == ids


def test_the_folder_says_how_to_decode_and_where_the_weights_come_from(make_run: MakeRun) -> None:
    make_run()
    export_merged(Path(), OUT)
    assert sorted(path.name for path in OUT.iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    decoding = GenerationConfig.from_pretrained(OUT)
    assert (decoding.do_sample, decoding.max_new_tokens) == (False, 96)
    assert decoding.eos_token_id == [2, 258]  # of the model, and the template's end of turn
    card = (OUT / "README.md").read_text()
    assert card.startswith("---\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\n")
    assert "license: apache-2.0" in card and "its licence holds for them too: Apache-2.0." in card
    assert md5_in_card(OUT / "README.md") == adapter_md5(ADAPTER)
    assert f"“{SYSTEM}”" in card and "frequency penalty of 0.5" in card


def test_a_second_export_replaces_the_first_with_the_same_bytes(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run()
    export_merged(Path(), OUT)
    first = {path.name: path.read_bytes() for path in OUT.iterdir()}
    export_merged(Path(), OUT)
    assert {path.name: path.read_bytes() for path in OUT.iterdir()} == first
    assert not any(str(tmp_path).encode() in content for content in first.values())


def test_sampling_is_exported_as_it_was_measured(make_run: MakeRun) -> None:
    make_run()
    params = read_yaml(PARAMS_FILE)
    params["evaluate"] |= {"temperature": 0.7, "top_p": 0.9, "frequency_penalty": 0.0}
    write_params(params)
    export_merged(Path(), OUT)
    decoding = json.loads((OUT / "generation_config.json").read_text())
    assert (decoding["do_sample"], decoding["temperature"], decoding["top_p"]) == (True, 0.7, 0.9)
    loaded = AutoModelForCausalLM.from_pretrained(OUT)
    prepared, _ = loaded._prepare_generation_config(None)
    assert prepared.top_k == 0, "transformers' own default leaves out all but 50 tokens"
    assert "penalty" not in (OUT / "README.md").read_text()


def test_without_token_files_the_comparison_is_left_out_with_a_message(
    make_run: MakeRun, caplog: pytest.LogCaptureFixture
) -> None:
    make_run()
    Path("data/tokens/test.arrow").unlink()
    with caplog.at_level(logging.INFO):
        export_merged(Path(), OUT)
    assert "run dvc repro tokenize to get data/tokens/test.arrow" in caplog.text


def test_an_adapter_that_merging_would_change_is_refused(make_run: MakeRun) -> None:
    """The head shares its weights with the embeddings, which merging would change too."""
    make_run(target_modules=["lm_head"], tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"cannot be merged: it changes a logit by [0-9.e+]+; "):
        export_merged(Path(), OUT)
    assert not OUT.exists()


def test_a_file_beside_an_earlier_export_is_left_alone(make_run: MakeRun) -> None:
    make_run()
    export_merged(Path(), OUT)
    (OUT / "merged-F16.gguf").write_text("mine")  # where llama.cpp's converter writes by default
    with pytest.raises(InputError, match=r"^out contains merged-F16\.gguf, which was not written"):
        export_merged(Path(), OUT)
    assert (OUT / "merged-F16.gguf").read_text() == "mine"
