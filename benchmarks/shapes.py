"""Models with random weights in the shapes of published ones, and cards with random tokens.

Speed and memory depend on sizes alone, so a benchmark needs neither a download nor a data set.
"""

from pathlib import Path
from typing import Any

import numpy as np

from medtune.config.schema import Train
from medtune.preflight.memory import Decoder

SHAPES: dict[str, dict[str, Any]] = {
    "SmolLM2-135M": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49_152,
        "tie_word_embeddings": True,
    },
    "SmolLM2-360M": {
        "hidden_size": 960,
        "intermediate_size": 2560,
        "num_hidden_layers": 32,
        "num_attention_heads": 15,
        "num_key_value_heads": 5,
        "vocab_size": 49_152,
        "tie_word_embeddings": True,
    },
    "TinyLlama-1.1B": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "vocab_size": 32_000,
        "tie_word_embeddings": False,
    },
    "Llama-3.2-1B": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
        "tie_word_embeddings": False,
    },
}
BEGINNING = 20  # tokens of the chat template and system prompt, which all cards share
Rows = dict[str, list[Any]]


def random_weights(shape: str, root: Path, device: str) -> Path:
    """Writes a model of this shape in bf16 into a folder of `root`, unless it is there."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    folder = root / shape
    if not (folder / "generation_config.json").is_file():  # the last file that is written
        torch.manual_seed(0)
        with torch.device(device):
            model: Any = LlamaForCausalLM(LlamaConfig(**SHAPES[shape]))
        model = model.to(torch.bfloat16)
        # No token ends an answer, so that all are equally long.
        model.generation_config = GenerationConfig(eos_token_id=None, pad_token_id=0)
        model.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
    return folder


def random_cards(shape: str, count: int, seed: int, longest: int = 256, full: bool = False) -> Rows:
    """Draws cards as long as those of the published data sets: about 120 tokens, 70 of the answer.

    With `full`, each card has `longest` tokens.
    """
    draw, words = np.random.default_rng(seed), SHAPES[shape]["vocab_size"]
    beginning = draw.integers(3, words, BEGINNING).tolist()
    rows: Rows = {"input_ids": [], "loss_start": []}
    for _ in range(count):
        start = BEGINNING + int(np.clip(draw.normal(30, 8), 8, 60))
        length = start + max(8, int(draw.lognormal(np.log(70), 0.6)))
        length = longest if full else min(length, longest)
        rows["input_ids"].append(beginning + draw.integers(3, words, length - BEGINNING).tolist())
        rows["loss_start"].append(start)
    return rows


def prompts(rows: Rows) -> list[list[int]]:
    pairs = zip(rows["input_ids"], rows["loss_start"], strict=True)
    return [ids[:start] for ids, start in pairs]


def tokens(rows: Rows) -> int:
    return sum(map(len, rows["input_ids"]))


def train_flops(folder: Path, rows: Rows, params: Train) -> int:
    """Returns the arithmetic of one pass over the cards, forward and backward, without attention.

    A frozen weight costs 2 operations a token forward and 2 backward, a trained one 2 more. The
    head runs at the supervised tokens only.
    """
    decoder = Decoder.read(folder)
    supervised = tokens(rows) - sum(rows["loss_start"])
    body = 4 * decoder.linear_weights + 6 * decoder.trained(params)
    return body * tokens(rows) + 4 * decoder.embedding * supervised
