"""Runs a model's own forward pass, with its head at the wanted positions only.

Logits are by far the largest tensor of a small model: 49,152 numbers for each token of the default.
So the head runs only where a logit is read, not for prompts and padding. What a model does with its
logits (Cohere multiplies them, Granite divides them, Gemma caps them) stays its own code.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch

from medtune.modeling.loading import to_device

ModelInputs = dict[str, Any]  # keyword arguments of a model's forward pass


def logits_at(model: Any, indices: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """Returns the logits (K, vocabulary) in fp32 at some positions of the inputs.

    `indices` (K,) int64 are on the model's device and count through all rows of `input_ids`.
    """

    def select(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (arguments[0].flatten(0, -2).index_select(0, indices),)

    model = unwrapped(model)
    with hooked(model.get_output_embeddings(), select):
        return model(**accepted(model, inputs)).logits.float()


@contextmanager
def hooked(layer: Any, hook: Any) -> Iterator[None]:
    """Within this context, `hook` changes what the layer gets."""
    handle = layer.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def row_logits(model: Any, ids: list[int]) -> torch.Tensor:
    """Returns the logits (tokens, vocabulary) of a row alone, as the model defines them."""
    row = torch.tensor([ids], device=model.device)
    model = unwrapped(model)
    logits: torch.Tensor = model(**accepted(model, {"input_ids": row, "use_cache": False})).logits
    return logits[0].float()


def padded_logits(
    model: Any, ids: torch.Tensor, is_token: torch.Tensor, indices: torch.Tensor
) -> torch.Tensor:
    """Returns the logits (K, vocabulary) at some columns of right-padded ids (N, S).

    The columns count through all rows. This is the form that every causal model takes.
    """
    return logits_at(model, indices, **padded_inputs(model, ids, is_token))


def padded_inputs(model: Any, ids: torch.Tensor, is_token: torch.Tensor) -> ModelInputs:
    ids, mask = (to_device(tensor, model.device) for tensor in (ids, is_token.long()))
    return {"input_ids": ids, "attention_mask": mask, "use_cache": False}


def unwrapped(model: Any) -> Any:
    """Returns the model of transformers: peft's wrapper changes arguments on their way to it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def accepted(model: Any, inputs: ModelInputs) -> ModelInputs:
    """Returns the inputs that the forward pass of a model takes, under the names that it uses."""
    names, takes_any = _parameters(type(model).forward)
    if "cache_params" in names and "past_key_values" in inputs:  # a state-space model
        inputs = inputs | {"cache_params": inputs["past_key_values"]}
        if inputs["input_ids"].shape[1] == 1:  # the state that it goes on from has no padding
            inputs.pop("attention_mask")
    return {name: value for name, value in inputs.items() if takes_any or name in names}


@lru_cache
def _parameters(forward: Any) -> tuple[frozenset[str], bool]:
    """Returns the named arguments of a forward pass, and whether it takes any others."""
    parameters = inspect.signature(forward).parameters
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return frozenset(parameters), takes_any
