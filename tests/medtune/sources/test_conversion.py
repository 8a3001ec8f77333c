import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from medtune.runtime.errors import InputError
from medtune.sources.conversion import INDEX, write_checkpoint, write_random_llama
from tests.fetching import tree


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    write_random_llama(tmp_path / "fetched")
    return tmp_path / "fetched"


def refusal(fetched: Path) -> str:
    with pytest.raises(InputError) as caught:
        write_checkpoint(fetched, fetched.with_name("out"))
    return str(caught.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.slow
def test_random_model_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_random_llama(tmp_path / name, seed=seed, num_hidden_layers=1)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    differing = tree(tmp_path / "a").items() - tree(tmp_path / "c").items()
    assert [name for name, _ in differing] == ["model.safetensors"]


def test_random_model_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    write_random_llama(tmp_path / "a", seed=7)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.slow
def test_random_model_loads_with_the_configuration_asked_for(tmp_path: Path) -> None:
    write_random_llama(tmp_path / "a", hidden_size=32, num_hidden_layers=3)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "a")
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (32, 3)
    assert model.config.vocab_size == 259


def test_byte_tokenizer_keeps_every_text_and_speaks_chatml(tmp_path: Path) -> None:
    write_random_llama(tmp_path / "a")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    text = "Naïve  β-cell\n世界"
    assert len(tokenizer(text).input_ids) == len(text.encode())
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert chat == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hiden_size": 64}, "did you mean hidden_size?"),
        ({"vocab_size": 9}, "vocab_size cannot be set"),
        ({"hidden_size": 30}, "not a multiple of the number of attention heads"),
        ({"num_key_value_heads": 3}, "num_key_value_heads must divide num_attention_heads"),
    ],
)
def test_impossible_random_model_is_refused(
    config: dict[str, int], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said.replace("?", r"\?")):
        write_random_llama(tmp_path / "a", **config)


def test_safetensors_are_taken_as_they_are_and_nothing_unsafe_with_them(fetched: Path) -> None:
    for name in ("pytorch_model.bin", "modeling_own.py", "README.md"):
        (fetched / name).write_text("x")
    expected = tree(fetched)
    write_checkpoint(fetched, fetched.with_name("out"))
    taken = tree(fetched.with_name("out"))
    assert sorted(taken) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert taken.items() <= expected.items()


def test_no_path_of_the_machine_and_no_private_mode_remain(fetched: Path) -> None:
    edit(fetched / "config.json", _name_or_path="/home/me/model")
    edit(fetched / "tokenizer_config.json", name_or_path="/home/me/model", is_local=True)
    (fetched / "model.safetensors").chmod(0o600)
    out = fetched.with_name("out")
    write_checkpoint(fetched, out)
    assert not any(b"/home/me" in content for content in tree(out).values())
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o644}
    AutoModelForCausalLM.from_pretrained(out)


def test_missing_and_truncated_shards_are_refused(fetched: Path) -> None:
    weights = fetched / "model.safetensors"
    weights.rename(fetched / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (fetched / INDEX).write_text(json.dumps({"weight_map": shards}))
    assert "has no model-00002-of-00002.safetensors" in refusal(fetched)


def test_truncated_weights_are_refused(fetched: Path) -> None:
    weights = fetched / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "model.safetensors is not a complete safetensors file" in refusal(fetched)


def test_missing_tokenizer_is_refused(fetched: Path) -> None:
    (fetched / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in refusal(fetched)


def test_older_vocabulary_becomes_tokenizer_json(fetched: Path) -> None:
    (fetched / "tokenizer.json").unlink()
    (fetched / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    (fetched / "vocab.json").write_text('{"a": 0, "b": 1, "ab": 2}')
    (fetched / "merges.txt").write_text("#version: 0.2\na b\n")
    write_checkpoint(fetched, fetched.with_name("out"))
    tokenizer = AutoTokenizer.from_pretrained(fetched.with_name("out"))
    assert tokenizer("ab").input_ids == [2]
    assert b"is_local" not in tree(fetched.with_name("out"))["tokenizer_config.json"]


def test_broken_configuration_is_refused(fetched: Path) -> None:
    (fetched / "config.json").write_text("{")
    assert "config.json is invalid JSON" in refusal(fetched)


@pytest.mark.parametrize("content", [b"GGUF", b"<html>not here</html>", b""])
def test_a_file_that_is_not_gguf_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "model.gguf").write_bytes(content)
    assert "model.gguf cannot be read as GGUF" in refusal(tmp_path / "fetched")


def test_source_without_weights_names_what_it_gave(tmp_path: Path) -> None:
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "hp.obo").write_text("x")
    assert "provides hp.obo: name one .gguf file" in refusal(tmp_path / "fetched")


@pytest.mark.parametrize(
    "index", [{}, [], {"weight_map": []}, {"weight_map": {"a": "../model.safetensors"}}]
)
def test_index_without_files_in_its_folder_is_refused(index: object, fetched: Path) -> None:
    (fetched / INDEX).write_text(json.dumps(index))
    said = refusal(fetched)
    assert "lists files outside its folder" in said or "is not a JSON object" in said


@pytest.mark.parametrize("kind", ["t5", "clip", "made-up", None, ["llama"]])
def test_a_model_that_is_not_a_causal_language_model_is_refused(kind: Any, fetched: Path) -> None:
    edit(fetched / "config.json", model_type=kind)
    said = refusal(fetched)
    assert f"download.model is of type {kind}, for which transformers " in said
    assert said.endswith("such as a Llama, Qwen or Mistral")


@pytest.mark.parametrize("content", ["[]", "[" * 100_000, "caf\udce9"])
def test_hostile_configuration_is_refused(content: str, fetched: Path) -> None:
    (fetched / "config.json").write_text(content, errors="surrogateescape")
    assert "config.json " in refusal(fetched)
