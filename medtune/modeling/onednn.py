"""Linear layers with weights packed for oneDNN's matrix products, which outrun torch's own.

On a CPU torch multiplies fp32 matrices by MKL. oneDNN, which comes with torch too, takes weights
in blocks that suit the processor. These are the operators that torch.compile packs weights with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch


@contextmanager
def packed_weights(model: Any, rows: int) -> Iterator[None]:
    """While it lasts, linear layers multiply by packed copies of their weights, for inference.

    For fp32 on x86 only, elsewhere nothing changes. The copies take as much memory as the weights.
    `rows`: how many tokens, about, go through a layer at a time; for a single one it would not pay.
    """
    layers = []
    if rows > 1 and _has_operators():
        layers = [layer for layer in model.modules() if _packable(layer)]
    for layer in layers:
        weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)
        layer.forward = partial(_multiply, weight, layer.bias)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _multiply(weight: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _packable(layer: Any) -> bool:
    if type(layer) is not torch.nn.Linear or "forward" in vars(layer):
        return False
    return layer.weight.dtype == torch.float32 and layer.weight.device.type == "cpu"


def _has_operators() -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
