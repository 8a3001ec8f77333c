"""Faster linear layers on a CPU: weights are reordered once into the layout that oneDNN prefers.

torch multiplies fp32 matrices with MKL. oneDNN, which also comes with torch, is faster where it
may store the weights in blocks that suit the processor's vector units. The two operators used here
are those that torch.compile uses for frozen weights (`torch/_inductor/fx_passes/mkldnn_fusion.py`).
They are private, so where a version of torch lacks them, its own layers run instead.

Results differ from MKL's by rounding. There is no backward pass: for inference only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch


@contextmanager
def packed_weights(model: Any, tokens: int) -> Iterator[None]:
    """Within this context, linear layers multiply by reordered copies of their weights.

    This applies to fp32 weights on an x86 CPU; anything else runs as before. The copies take as
    much memory as the weights, and do not follow a weight that changes. `tokens` is roughly how
    many go through a layer at a time; oneDNN chooses the layout for it. One token gains nothing.
    """
    layers = []
    if tokens > 1 and _has_operators():
        layers = [layer for layer in model.modules() if _can_pack(layer)]
    for layer in layers:
        packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), tokens)
        layer.forward = partial(_linear, packed, layer.bias)  # on the instance, hides the class's
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _linear(packed: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """Maps x (…, in) to (…, out); `packed` is a weight (out, in) in oneDNN's opaque layout."""
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # no activation


def _can_pack(layer: Any) -> bool:
    if type(layer) is not torch.nn.Linear or "forward" in vars(layer):  # a subclass, or packed
        return False
    return layer.weight.dtype == torch.float32 and layer.weight.device.type == "cpu"


def _has_operators() -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
