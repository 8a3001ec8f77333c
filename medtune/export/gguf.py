"""Writes the base model with the adapter in it as one GGUF file, and a Modelfile beside it.

Names and layout of the tensors are as llama.cpp's converter writes them for Llama and Qwen 2.

    medtune export gguf
    medtune export gguf --type q8_0 FILE.gguf
    medtune export gguf --type q4_k_m
"""

import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medtune.export.gguf_tokenizer import add_tokenizer, is_describable
from medtune.export.llama_quantizer import LLAMA_CPP_TYPE, check_quantizer, quantize
from medtune.export.merged import Merged, merge
from medtune.export.modelfile import MODELFILE, check_modelfile, modelfile
from medtune.export.provenance import GGUF_KEY, text_in_gguf
from medtune.report.licences import hub_name_of, package_of
from medtune.runtime.atomic_files import replacing, scratch
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

TYPES = ("f32", "f16", "q8_0")
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
# Ways to scale positions that only choose other frequencies, by llama.cpp's architecture.
ROPE_TYPES = {"llama": ("default", "linear", "llama3"), "qwen2": ("default",)}
NAME = "medtune"


def export_gguf(root: Path, target: Path, type_: str, experiment: str | None = None) -> Path:
    """Writes the file, or one named after the type into the folder; returns its path.

    `experiment` is the name of the run in `root`, for errors that name a command.
    """
    type_ = type_.lower()  # llama.cpp writes Q4_K_M
    option = f" --experiment {shlex.quote(experiment)}" if experiment else ""
    path = target if target.suffix == ".gguf" else target / f"{NAME}-{type_}.gguf"
    check_type(type_, path, option)
    if path.is_dir() or path.parent.is_file():
        raise InputError(f"{target} is in the way: name a folder or a new file ending in .gguf")
    check_modelfile(path.parent / MODELFILE)
    if path.exists() and text_in_gguf(path, "general.name") != NAME:
        raise InputError(f"{path} was not written by medtune export: name another file")
    merged = merge(root)
    if problem := unsupported(merged):
        raise InputError(
            f"medtune cannot write this model as GGUF, because {problem}: run `medtune export "
            f"merged{option} FOLDER`, then `python convert_hf_to_gguf.py FOLDER --outfile "
            "FILE.gguf` of llama.cpp"
        )
    with replacing(path) as temporary:
        if type_ in TYPES:
            write_gguf(merged, temporary, type_)
        else:
            write_quantized(merged, temporary, type_)
    text = modelfile(merged, path.name)
    with replacing(path.parent / MODELFILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    logger.info(f"{path}: {path.stat().st_size / 2**20:.0f} MiB, type {type_}")
    return path


def check_type(type_: str, path: Path, option: str) -> None:
    if type_ in TYPES:
        return
    if not LLAMA_CPP_TYPE.fullmatch(type_):
        raise InputError(
            f"--type must be one of {', '.join(TYPES)}, or a type of llama.cpp such as q4_k_m, "
            f"got {type_}"
        )
    check_quantizer(type_, path.with_name(f"{NAME}-f32.gguf"), path, option)


def write_quantized(merged: Merged, path: Path, type_: str) -> None:
    """Writes a type of llama.cpp's quantizer, by way of a temporary file in fp32."""
    with scratch(path.with_name(f"{path.name}-f32")) as full:
        write_gguf(merged, full, "f32")
        quantize(full, path, type_)


def write_gguf(merged: Merged, path: Path, type_: str) -> None:
    """Writes metadata and tensors of a model that is not unsupported."""
    from gguf import GGUFWriter

    config = merged.model.config
    writer = GGUFWriter(None, ARCHITECTURES[config.model_type])
    add_description(writer, merged, type_)
    add_shape(writer, config)
    add_tokenizer(writer, merged.encoder, merged.template, config.vocab_size)
    for name, tensor in tensors(merged.model, writer.arch):
        add_tensor(writer, name, tensor, type_)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def unsupported(merged: Merged) -> str | None:
    """Returns what of the model this module cannot write, if anything."""
    config = merged.model.config
    if config.model_type not in ARCHITECTURES:
        return f"its type is {config.model_type}, not {', '.join(ARCHITECTURES)}"
    rope = config.rope_parameters["rope_type"]
    if rope not in ROPE_TYPES[ARCHITECTURES[config.model_type]]:
        return f"its positions are of the type {rope}"
    if not is_describable(merged.encoder, merged.template):
        return "its tokenizer is not one that medtune can describe to llama.cpp"
    return None


def add_description(writer: Any, merged: Merged, type_: str) -> None:
    from gguf import GGML_QUANT_VERSION, GGUFType, LlamaFileType

    source = merged.params.download.model
    package, hub_name = package_of(source), hub_name_of(source)
    writer.add_type(GGUFType.MODEL)
    writer.add_name(NAME)
    writer.add_string(GGUF_KEY, merged.adapter_md5)
    if package and package.spdx:
        writer.add_license(package.spdx)
    if hub_name:
        owner, name = hub_name.split("/")
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, name)
        writer.add_base_model_organization(0, owner)
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{hub_name}")
    prefix = "ALL" if type_ == "f32" else "MOSTLY"
    writer.add_file_type(LlamaFileType[f"{prefix}_{type_.upper()}"])
    writer.add_quantization_version(GGML_QUANT_VERSION)


def add_shape(writer: Any, config: Any) -> None:
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_rope_dimension_count(head_size)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def tensors(model: Any, architecture: str) -> Iterator[tuple[str, Any]]:
    """Yields the name and the values, in fp32, of each tensor of the file."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    config = model.config
    names = get_tensor_name_map(
        MODEL_ARCH.LLAMA if architecture == "llama" else MODEL_ARCH.QWEN2, config.num_hidden_layers
    )
    if config.rope_parameters["rope_type"] != "default":
        yield "rope_freqs.weight", frequency_divisors(model)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name is not None, key
        values = tensor.float().cpu().numpy()
        module = key.split(".")[-2]
        if architecture == "llama" and module in heads:
            values = interleave_halves(values, heads[module])
        yield name, values


def interleave_halves(rows: Any, heads: int) -> Any:
    """Returns the rows (heads · size, …) of each head as llama.cpp rotates them.

    transformers turns row i together with row i + size / 2 of a head, llama.cpp's Llama each row
    2i together with row 2i + 1.
    """
    size = rows.shape[0] // heads
    halves = rows.reshape(heads, 2, size // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def frequency_divisors(model: Any) -> Any:
    """Returns by what llama.cpp divides the default frequency of each pair of dimensions."""
    import numpy as np

    scaled = model.model.rotary_emb.inv_freq.float().cpu().numpy()
    exponents = np.arange(len(scaled), dtype=np.float32) / len(scaled)
    default = model.config.rope_parameters["rope_theta"] ** -exponents
    return (default / scaled).astype(np.float32)


def add_tensor(writer: Any, name: str, values: Any, type_: str) -> None:
    """Adds a tensor of the type; vectors stay in fp32, and rows that don't fit q8_0 in fp16."""
    from gguf import GGMLQuantizationType, QuantError, quantize

    kind = GGMLQuantizationType[type_.upper()] if values.ndim > 1 else GGMLQuantizationType.F32
    try:
        data = quantize(values, kind)
    except QuantError:
        kind = GGMLQuantizationType.F16
        data = quantize(values, kind)
    writer.add_tensor(name, data, raw_dtype=kind)
