"""Converts what a source provides into the folder of the base model, with safe files only."""

import difflib
import json
import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerFast

logger = logging.getLogger("medtune")

INDEX = "model.safetensors.index.json"
# Any of these can be turned into tokenizer.json.
VOCABULARIES = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
CHECKPOINT_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    INDEX,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    *VOCABULARIES,
)
# Where the files came from: this says nothing about the model and differs between machines.
ORIGINS = ("_name_or_path", "_model_name_or_path", "name_or_path", "is_local", "local_files_only")
RANDOM_LLAMA = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
}
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
RANDOM_VOCABULARY = 256 + len(SPECIAL_TOKENS)  # a token for each byte
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_checkpoint(fetched: Path, folder: Path) -> None:
    """Writes a checkpoint to `folder` from a .gguf file, or from safetensors (moved unchanged).

    It has safetensors, config.json, tokenizer.json and any other CHECKPOINT_FILES of the source.
    Nothing in it names this machine, and the same input gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    gguf_files = sorted(fetched.rglob("*.gguf"))
    if (fetched / "config.json").is_file():
        for path in {path for pattern in CHECKPOINT_FILES for path in fetched.glob(pattern)}:
            path.replace(folder / path.name)
        _check_architecture(folder / "config.json")
        _check_weights(folder)
        if not (folder / "tokenizer.json").is_file():
            _convert_tokenizer(folder)
    elif len(gguf_files) == 1:
        _convert_gguf(gguf_files[0], folder)
    else:
        held = ", ".join(sorted(path.name for path in fetched.rglob("*") if path.is_file())[:8])
        raise InputError(
            f"download.model provides {held}: "
            "name one .gguf file, or a folder with config.json and safetensors"
        )
    _settle(folder)


def write_random_llama(folder: Path, seed: int = 0, **config: int) -> None:
    """Writes a Llama with random weights and a byte tokenizer; same arguments, same output.

    `config` takes fields of transformers' LlamaConfig, except those that the tokenizer determines.
    The global random state is left unchanged.
    """
    import torch
    from transformers import LlamaForCausalLM

    tokenizer = _byte_tokenizer()
    llama_config = _llama_config(tokenizer, RANDOM_LLAMA | config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(llama_config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _settle(folder)


def _llama_config(tokenizer: "PreTrainedTokenizerFast", config: dict[str, Any]) -> "LlamaConfig":
    from huggingface_hub.errors import StrictDataclassError
    from transformers import LlamaConfig

    special = ("bos_token_id", "eos_token_id", "pad_token_id")
    fixed: dict[str, Any] = {name: getattr(tokenizer, name) for name in special}
    fixed |= {"vocab_size": len(tokenizer), "tie_word_embeddings": True}
    types = LlamaConfig.__annotations__.items()
    free = sorted(key for key, type_ in types if type_ in (int, int | None) and key not in fixed)
    for key in config.keys() - set(free):
        near = difflib.get_close_matches(key, free, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(free)}"
        raise InputError(f"random://llama: {key} cannot be set: {hint}")
    if config["num_attention_heads"] % config["num_key_value_heads"]:
        raise InputError("random://llama: num_key_value_heads must divide num_attention_heads")
    try:
        return LlamaConfig(**config, **fixed)
    except StrictDataclassError as error:
        raise InputError(f"random://llama: {str(error).splitlines()[-1].strip()}") from None


def _byte_tokenizer() -> "PreTrainedTokenizerFast":
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: id_ for id_, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    end_of_text, start, end = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=start,
        eos_token=end,
        pad_token=end_of_text,
        chat_template=CHATML,
    )


def _convert_gguf(path: Path, folder: Path) -> None:
    logger.info("converting %s to safetensors (a small model takes about 20 s)", path.name)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source: dict[str, Any] = {"gguf_file": path.name}
    try:
        with _header_read_once():
            model = AutoModelForCausalLM.from_pretrained(
                path.parent,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.float32,
                **source,
            )
            logger.info("converting the tokenizer of %s", path.name)
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **source)
    except (ValueError, IndexError, KeyError, struct.error) as error:
        raise InputError(
            f"{path.name} cannot be read as GGUF ({error}): download it again"
        ) from None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _header_read_once() -> Iterator[None]:
    """Has transformers parse a GGUF file once, instead of for config, weights and tokenizer."""
    import gguf

    names = ("GGUFReader", "get_tensor_name_map")
    before = {name: getattr(gguf, name) for name in names}
    for name, function in before.items():
        setattr(gguf, name, cache(function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(gguf, name, function)


def _check_architecture(path: Path) -> None:
    """Raises InputError if transformers has no causal language model of the configuration's type.

    Such as T5, which reads a question with an encoder, or code that comes with the weights.
    """
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = _read_object(path).get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"download.model is of type {kind}, for which transformers {__version__} has no "
            "causal language model: choose another, such as a Llama, Qwen or Mistral"
        )


def _check_weights(folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    names = ["model.safetensors"]
    if (folder / INDEX).is_file():
        names = _list_shards(folder / INDEX)
    for name in names:
        if not (folder / name).is_file():
            raise InputError(
                f"download.model has no {name}: choose a model with all of its safetensors files"
            )
        try:
            with safe_open(folder / name, framework="numpy"):
                pass
        except SafetensorError as error:
            raise InputError(
                f"{name} is not a complete safetensors file ({error}): download it again"
            ) from None


def _list_shards(index: Path) -> list[str]:
    shards = _read_object(index).get("weight_map")
    names = sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []
    if not names or any(Path(name).name != name for name in names):
        raise InputError(
            f"{index.name} lists files outside its folder, or none, in weight_map: "
            "download the model again"
        )
    return names


def _convert_tokenizer(folder: Path) -> None:
    """Creates tokenizer.json from an older vocabulary."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise InputError("download.model has no tokenizer.json: choose a model with its tokenizer")
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    except (ValueError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "download.model has no tokenizer.json and its vocabulary cannot be converted "
            f"({reason}): choose a model with tokenizer.json"
        ) from None
    if not (folder / "tokenizer.json").is_file():
        raise InputError(
            "download.model has no tokenizer.json and its vocabulary cannot be converted: "
            "choose a model with tokenizer.json"
        )


def _settle(folder: Path) -> None:
    """Removes ORIGINS from the configuration and makes every file readable by everyone."""
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        path = folder / name
        content = _read_object(path) if path.is_file() else {}
        if content.keys() & set(ORIGINS):
            kept = {key: value for key, value in content.items() if key not in ORIGINS}
            path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o644)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is invalid JSON ({error}): download it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path.name} is not a JSON object: download the model again")
    return content
