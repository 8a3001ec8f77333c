"""Random models of two layers, of any architecture with the usual names of its sizes."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM


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
