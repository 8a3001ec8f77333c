import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize
from transformers import AutoModelForCausalLM, GgufConfig

from medtune.export.gguf import export_gguf
from medtune.export.provenance import adapter_md5
from medtune.modeling.adapters import ADAPTER
from medtune.runtime.errors import InputError
from tests.chat_tokenizers import smollm2, tinyllama
from tests.medtune.export.conftest import CARDS, SYSTEM, MakeRun

pytestmark = pytest.mark.slow

MODELS = [
    ("llama", {"tie_word_embeddings": True}),
    ("llama", {"tie_word_embeddings": False, "use_dora": True}),
    ("mistral", {}),
    ("qwen2", {"bias": "all"}),
]
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
# Of the wavelengths 6, 167, 4,443 and 118,143; between 2,048 and 8,192 the formula interpolates.
DIVISORS = np.array([1, 1, 3.292, 32])


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    return smollm2(tmp_path / "tokenizer")


def loaded(path: Path) -> Any:
    source: dict[str, Any] = {"gguf_file": path.name, "dtype": torch.float32}
    config = GgufConfig(dequantize=True)
    return AutoModelForCausalLM.from_pretrained(path.parent, quantization_config=config, **source)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([CARDS[0]])).logits[0]


def metadata(path: Path) -> dict[str, Any]:
    fields = GGUFReader(path).fields
    return {name: field.contents() for name, field in fields.items() if "." in name[1:]}


@pytest.mark.parametrize(("kind", "changes"), MODELS)
def test_transformers_reads_the_trained_model_back(
    kind: str, changes: dict[str, Any], make_run: MakeRun
) -> None:
    trained = make_run(kind, **changes)
    model = loaded(export_gguf(Path(), Path("out"), "f32"))
    assert torch.allclose(logits(model), trained, atol=1e-4)


@pytest.mark.parametrize(("type_", "tolerance"), [("f16", 2**-11), ("q8_0", 1 / 254 + 2**-11)])
def test_smaller_types_round_the_weights_by_no_more_than_they_must(
    type_: str, tolerance: float, make_run: MakeRun
) -> None:
    make_run()
    full = loaded(export_gguf(Path(), Path("out"), "f32")).state_dict()
    path = export_gguf(Path(), Path("out"), type_)
    for name, rounded in loaded(path).state_dict().items():
        assert (rounded - full[name]).abs().max() <= tolerance * full[name].abs().max(), name
        assert torch.equal(rounded, full[name]) == name.endswith("norm.weight"), name
    kinds = {tensor.name: tensor.tensor_type for tensor in GGUFReader(path).tensors}
    wanted = GGMLQuantizationType[type_.upper()]
    assert kinds["token_embd.weight"] == kinds["blk.1.attn_q.weight"] == wanted
    assert kinds["output_norm.weight"] == GGMLQuantizationType.F32
    # A row of 48 values is not a multiple of the 32 that share a scale.
    assert kinds["blk.0.ffn_down.weight"] == GGMLQuantizationType.F16


def test_llama_3_positions_are_written_as_divisors_of_the_frequencies(make_run: MakeRun) -> None:
    make_run(rope_parameters=LLAMA3_ROPE, max_position_embeddings=131072)
    path = export_gguf(Path(), Path("out"), "f32")
    (tensor,) = [each for each in GGUFReader(path).tensors if each.name == "rope_freqs.weight"]
    assert dequantize(tensor.data, tensor.tensor_type) == pytest.approx(DIVISORS, rel=1e-3)
    assert metadata(path)["llama.rope.freq_base"] == 500000
    make_run()
    plain = GGUFReader(export_gguf(Path(), Path("plain"), "f32"))
    assert "rope_freqs.weight" not in {each.name for each in plain.tensors}


def test_the_metadata_describe_shape_licence_and_tokenizer(make_run: MakeRun) -> None:
    make_run(max_position_embeddings=512)
    found = metadata(export_gguf(Path(), Path("out"), "q8_0"))
    shape = {
        "general.architecture": "llama",
        "general.file_type": 7,
        "general.license": "apache-2.0",
        "medtune.adapter_md5": adapter_md5(ADAPTER),
        "general.base_model.0.repo_url": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        "llama.block_count": 2,
        "llama.context_length": 512,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 48,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.rope.dimension_count": 8,
        "llama.vocab_size": 420,
    }
    assert found.items() >= shape.items()
    assert found["llama.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-6)
    special = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.add_bos_token": False,
    }
    assert found.items() >= special.items()
    tokens, types = (found[f"tokenizer.ggml.{name}"] for name in ("tokens", "token_type"))
    assert (tokens[2], types[2]) == ("<|im_end|>", 3)
    assert (tokens[419], types[419]) == ("[PAD419]", 5)
    assert SYSTEM in found["tokenizer.chat_template"]


def test_the_metadata_describe_a_sentencepiece_tokenizer(make_run: MakeRun, tmp_path: Path) -> None:
    make_run()
    folder = tinyllama(tmp_path / "sentencepiece").name_or_path
    shutil.copytree(folder, ADAPTER, dirs_exist_ok=True)
    found = metadata(export_gguf(Path(), Path("out"), "q8_0"))
    special = {"model": "llama", "pre": "default", "add_bos_token": True, "add_space_prefix": False}
    assert found.items() >= {f"tokenizer.ggml.{k}": v for k, v in special.items()}.items()
    names = ("tokens", "token_type", "scores")
    columns = [found[f"tokenizer.ggml.{name}"] for name in names]
    rows = {token: (type_, score) for token, type_, score in zip(*columns, strict=True)}
    assert [rows[token][0] for token in ("<unk>", "<s>", "<0x0A>", "a", "is")] == [2, 3, 6, 1, 1]
    assert rows["is"][1] > rows["▁is"][1] > rows["a"][1] == rows["<0x0A>"][1]


def test_a_second_export_has_the_same_bytes_and_any_name(make_run: MakeRun) -> None:
    make_run()
    first = export_gguf(Path(), Path("out"), "F16")  # capitals are taken too
    second = export_gguf(Path(), Path("out/other.gguf"), "f16")
    assert (first.name, second.name) == ("medtune-f16.gguf", "other.gguf")
    assert first.read_bytes() == second.read_bytes()
    assert "FROM ./other.gguf" in Path("out/Modelfile").read_text()


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("gpt_neox", {}, "its type is gpt_neox, not llama, mistral, qwen2"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            "its positions are of the type dynamic",
        ),
        ("qwen2", {"rope_parameters": LLAMA3_ROPE}, "its positions are of the type llama3"),
    ],
)
def test_another_architecture_names_the_converter_of_llama_cpp(
    kind: str, changes: dict[str, Any], reason: str, make_run: MakeRun
) -> None:
    make_run(kind, **changes)
    remedy = r"run `medtune export merged FOLDER`, then `python convert_hf_to_gguf\.py FOLDER --"
    with pytest.raises(
        InputError, match=rf"{reason}.*: {remedy}outfile FILE\.gguf` of llama\.cpp$"
    ):
        export_gguf(Path(), Path("out"), "f16")
    assert not Path("out").exists()


def test_an_unknown_tokenizer_names_the_converter_too(make_run: MakeRun, tmp_path: Path) -> None:
    make_run()
    folder = Path(tinyllama(tmp_path / "sentencepiece").name_or_path)
    backend = json.loads((folder / "tokenizer.json").read_text())
    backend["model"]["merges"].pop()
    (folder / "tokenizer.json").write_text(json.dumps(backend))
    shutil.copytree(folder, ADAPTER, dirs_exist_ok=True)
    with pytest.raises(InputError, match=r"its tokenizer is not one .*convert_hf_to_gguf\.py"):
        export_gguf(Path(), Path("out"), "f16")


def test_the_command_that_an_error_names_keeps_the_experiment(make_run: MakeRun) -> None:
    make_run("gpt_neox")
    with pytest.raises(InputError, match="run `medtune export merged --experiment tiny FOLDER`"):
        export_gguf(Path(), Path("out"), "f16", "tiny")


@pytest.mark.parametrize("name", ["Llama 3", None])
def test_a_gguf_file_of_others_is_left_alone(name: str | None, make_run: MakeRun) -> None:
    make_run()
    path = Path("model.gguf")
    if name is None:
        path.write_bytes(b"mine")
    else:
        writer = GGUFWriter(path, "llama")
        writer.add_name(name)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"^model\.gguf was not written by medtune export: name"):
        export_gguf(Path(), path, "f16")
    assert path.read_bytes() == before


def test_a_modelfile_of_others_is_left_alone(make_run: MakeRun) -> None:
    make_run()
    Path("out").mkdir()
    Path("out/Modelfile").write_text("FROM llama3")
    with pytest.raises(InputError, match=r"^out/Modelfile was not written by medtune export: "):
        export_gguf(Path(), Path("out"), "f16")
    assert [path.name for path in Path("out").iterdir()] == ["Modelfile"]
