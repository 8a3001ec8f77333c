"""A model of the Llama architecture as llama.cpp reads it, in fp32 and without a tokenizer."""

import json
from pathlib import Path

import numpy as np


def write_gguf(folder: Path, path: Path) -> None:
    """Writes the model of a folder as one GGUF file, each weight as it is."""
    from gguf import GGMLQuantizationType, GGUFWriter, get_tensor_name_map
    from gguf.constants import MODEL_ARCH
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    key_heads = config["num_key_value_heads"]
    writer = GGUFWriter(path, "llama")
    writer.add_file_type(GGMLQuantizationType.F32)
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, layers)
    for name, weight in load_file(folder / "model.safetensors").items():
        if name.endswith("q_proj.weight"):
            weight = interleaved(weight, heads)
        elif name.endswith("k_proj.weight"):
            weight = interleaved(weight, key_heads)
        written = names.get_name(name, try_suffixes=(".weight",))
        assert written, name
        writer.add_tensor(written, weight.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rotary pairs side by side in each head, (heads · dim, hidden); transformers halves a head."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))
