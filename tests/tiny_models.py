"""Random models of two layers, of any architecture with the usual names of its sizes."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from medtune.config.schema import Evaluate
from medtune.generation.generate import generate


def random_model(kind: str, **options: Any) -> Any:
    """Returns a model of transformers' `kind`, always with the same weights, ready to answer."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.5,
    }
    config = AutoConfig.for_model(kind, **sizes | options)
    return AutoModelForCausalLM.from_config(config).eval()


def as_if_trained(model: Any) -> Any:
    """Sets the B matrices of a new adapter, which are zero and leave A without a gradient."""
    generator = torch.Generator().manual_seed(2)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(generator=generator, std=0.1)
    return model


def some_ends(model: Any, prompts: list[list[int]], params: Evaluate) -> set[int]:
    """Tokens that end the answers of a random model at different steps."""
    free = generate(model, prompts, params, {-1})
    return {free[n][n % 12] for n in range(0, len(prompts), 3)}


def by_transformers(model: Any, prompt: list[int], params: Evaluate, ends: set[int]) -> list[int]:
    """The greedy answer that transformers gives with the same penalty."""
    ids = torch.tensor([prompt])
    model.generation_config.forced_eos_token_id = None  # BART would end at the longest length
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=params.max_new_tokens,
        do_sample=False,
        repetition_penalty=params.repetition_penalty,
        eos_token_id=list(ends),
        pad_token_id=0,
    )
    return output[0, len(prompt) :].tolist()
