"""Converts a model of transformers into the format that OpenVINO GenAI reads.

The graph has the inputs and outputs that GenAI's documentation names ("How it works", "Stateful
LLM"): GenAI replaces its attention by one with a paged cache.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn


class _Step(nn.Module):
    """A pass of the model whose cache is a list of inputs and outputs, as a conversion needs it."""

    def __init__(self, model: Any, shift_logits: bool, tokens: int) -> None:
        super().__init__()
        self.model, self.shift_logits, self.tokens = model, shift_logits, tokens

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        *cached: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Maps ids (rows, new), mask (rows, past + new), positions (rows, new) and, of each layer,
        keys and values (rows, heads, past, head_dim) to logits and longer keys and values.
        """
        cache = _empty_cache(self.model, self.tokens)
        for layer, keys, values in zip(cache.layers, cached[::2], cached[1::2], strict=True):
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
        past, new = cached[0].shape[2], input_ids.shape[1]
        is_before = torch.arange(past + new) <= torch.arange(new)[:, None] + past
        logits = self.model(
            input_ids=input_ids,
            attention_mask=is_before & attention_mask[:, None, None].bool(),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        ).logits
        if self.shift_logits:  # OpenVINO adds the frequency penalty to negative logits
            logits = logits - logits.amin(-1, keepdim=True)
        return logits, *(tensor for layer in cache.layers for tensor in (layer.keys, layer.values))


def _empty_cache(model: Any, tokens: int) -> Any:
    """Returns a cache of plain layers; refuses a model that would not attend to all `tokens`."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    cache = DynamicCache(config=model.config)
    for layer in cache.layers:
        window = getattr(layer, "sliding_window", tokens)
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) or window < tokens:
            raise ValueError(f"not all of its layers attend to {tokens} tokens")
    cache.layers = [DynamicLayer() for _ in cache.layers]
    return cache


def convert(model: Any, folder: Path, shift_logits: bool, tokens: int) -> None:
    """Writes the model in OpenVINO's format, for prompts and answers of at most `tokens` together.

    `shift_logits` makes the least logit of a row 0. Raises ValueError if the model
    has layers that GenAI's cache does not fit.
    """
    from openvino import convert_model, save_model

    cache = _empty_cache(model, tokens)
    ids = torch.zeros(2, 2, dtype=torch.long)
    with torch.inference_mode():
        model(input_ids=ids, past_key_values=cache, use_cache=True)
    past = [tensor.clone() for layer in cache.layers for tensor in (layer.keys, layer.values)]
    example = (ids, torch.ones(2, 4, dtype=torch.long), ids + torch.tensor([2, 3]), *past)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of the tracer
        graph = convert_model(_Step(model, shift_logits, tokens), example_input=example)
    _name(graph, [(tensor.shape[1], tensor.shape[3]) for tensor in past])
    _make_stateful(graph, graph.inputs[3:])
    save_model(graph, folder / "openvino_model.xml", compress_to_fp16=False)


def _name(graph: Any, sizes: list[tuple[int, int]]) -> None:
    """Gives inputs and outputs the names that GenAI looks for, and `sizes` (heads, head_dim)."""
    shapes = [[-1, -1]] * 3 + [[-1, heads, -1, head_dim] for heads, head_dim in sizes]
    numbers = range(len(sizes))
    inputs = ["input_ids", "attention_mask", "position_ids", *(f"past.{n}" for n in numbers)]
    outputs = ["logits", *(f"present.{n}" for n in numbers)]
    for ports, names in ((graph.inputs, inputs), (graph.outputs, outputs)):
        for port, name in zip(ports, names, strict=True):
            port.tensor.set_names({name})
    graph.reshape(dict(zip(graph.inputs, shapes, strict=True)))


def _make_stateful(graph: Any, cached: list[Any]) -> None:
    """Turns the cache's inputs and outputs into states, whose rows the input `beam_idx` chooses."""
    import openvino
    from openvino import opset13 as operations
    from openvino._offline_transformations import apply_make_stateful_transformation

    order = operations.parameter([-1], openvino.Type.i32, name="beam_idx")
    order.output(0).tensor.set_names({"beam_idx"})
    for port in cached:
        users = port.get_target_inputs()
        chosen = operations.gather(port, order, operations.constant(0)).output(0)
        for user in users:
            user.replace_source_output(chosen)
    graph.add_parameters([order])
    states = {port.any_name: f"present.{number}" for number, port in enumerate(cached)}
    apply_make_stateful_transformation(graph, states)
    shape = operations.shape_of(graph.input("input_ids"))
    rows = operations.gather(shape, operations.constant([0]), operations.constant(0))
    for state in graph.get_ops():
        if state.get_type_name() == "ReadValue":  # of no tokens at first
            sizes = state.output(0).partial_shape
            heads, head_dim = sizes[1].get_length(), sizes[3].get_length()
            first = operations.concat([rows, operations.constant([heads, 0, head_dim])], 0)
            state.set_arguments(
                [operations.broadcast(operations.constant(0.0, openvino.Type.f32), first)]
            )
    graph.validate_nodes_and_infer_types()
