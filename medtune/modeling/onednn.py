"""Faster linear layers on a CPU: weights are reordered once into the layout that oneDNN prefers.

torch multiplies fp32 matrices with MKL. oneDNN, which also comes with torch, is faster where it
may store the weights in blocks that suit the processor's vector units. The two operators used here
are those that torch.compile uses for frozen weights (`torch/_inductor/fx_passes/mkldnn_fusion.py`).
They are private, so where a version of torch lacks them, its own layers run instead.

Results differ from MKL's by rounding. Weights that are trained stay as they are; gradients flow
through the frozen ones to their inputs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch


class FrozenProduct(Protocol):
    """A linear layer whose weight and bias are constants."""

    def output(self, x: torch.Tensor) -> torch.Tensor:
        """Maps x (…, in) to (…, out)."""

    def input_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        """Maps the gradient of the output (…, out) to that of the input (…, in)."""


@contextmanager
def packed_weights(
    model: Any, tokens: int, gradients: bool = False
) -> Iterator[dict[Any, FrozenProduct]]:
    """Within this context, linear layers multiply by reordered copies of their weights.

    This applies to frozen fp32 weights on an x86 CPU; anything else runs as before. The copies take
    as much memory as the weights, or twice as much with `gradients`, and do not follow a weight
    that changes. `tokens` is roughly how many go through a layer at a time; oneDNN chooses the
    layout for it. One token gains nothing. With `gradients`, it yields the product of each
    packed layer, so that a larger function can use it.
    """
    layers = []
    products: dict[Any, FrozenProduct] = {}
    if tokens > 1 and _has_operators():
        layers = [layer for layer in model.modules() if _can_pack(layer, gradients)]
    for layer in layers:  # on the instance, a forward hides the class's
        weight = layer.weight.detach()
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, tokens)
        if gradients:
            turned = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), tokens)
            products[layer] = _Packed(packed, turned, layer.bias)
            layer.forward = partial(_Frozen.apply, products[layer])
        else:
            layer.forward = partial(_linear, packed, layer.bias)
    try:
        yield products
    finally:
        for layer in layers:
            del layer.forward


class _Packed(NamedTuple):
    packed: torch.Tensor  # the weight (out, in), as oneDNN stores it
    turned: torch.Tensor  # its transpose
    bias: torch.Tensor | None

    def output(self, x: torch.Tensor) -> torch.Tensor:
        return _linear(self.packed, self.bias, x)

    def input_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        return _linear(self.turned, None, gradient.contiguous())


class _Frozen(torch.autograd.Function):
    """A frozen layer: applies its product, and passes the gradient on to its input."""

    @staticmethod
    def forward(ctx: Any, product: FrozenProduct, x: torch.Tensor) -> torch.Tensor:
        ctx.product = product
        return product.output(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, ctx.product.input_gradient(gradients[0])


def _linear(packed: torch.Tensor, bias: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    """Maps x (…, in) to (…, out); `packed` is a weight (out, in) in oneDNN's opaque layout."""
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # no activation


def _can_pack(layer: Any, gradients: bool) -> bool:
    if type(layer) is not torch.nn.Linear or "forward" in vars(layer):  # a subclass, or packed
        return False
    weight = layer.weight
    if gradients and any(parameter.requires_grad for parameter in layer.parameters()):
        return False
    # FSDP's weights are in parts
    whole = type(weight) is torch.nn.Parameter and weight.device.type == "cpu"
    return whole and weight.dtype == torch.float32


def _has_operators() -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )
