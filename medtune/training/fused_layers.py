"""Fewer passes over the memory in training.

Between the matrix products of a training step, small operations read and write whole activations.
In half precision, a GPU multiplies so fast that they take most of the time. Two changes leave the
results as they are, up to rounding:

- An adapted layer adds its adapter's product to the frozen one in place, as x Wᵀ + (s · x Aᵀ) Bᵀ.
  peft casts the input to fp32 first, and scales and adds in separate operations.
- On a GPU, norms, gated activations and rotary embeddings are compiled to one kernel each. This
  takes some seconds at the start, so it is done only for runs that are long enough.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn.functional import linear, silu

from medtune.modeling.loading import device
from medtune.modeling.onednn import FrozenProduct
from medtune.runtime.errors import in_one_line

logger = logging.getLogger("medtune")

Function = Callable[..., Any]

# Tokens of a run × weights of its model: an H100 then saves the 8 seconds that compiling takes.
WORTH_COMPILING = 2e15
ADAPTER = "default"  # peft's name for the only adapter
ROTARY = "apply_rotary_pos_emb"  # transformers' name in each of its model files


@contextmanager
def fused_layers(
    model: Any, products: Mapping[Any, FrozenProduct], tokens: int = 0
) -> Iterator[None]:
    """Within this context, a model trains with fewer operations.

    `products` are faster forms of frozen linear layers, as `packed_weights` returns them. `tokens`
    is how many the whole run reads: long runs are compiled, and 0 never is. Layers for which this
    has no form, such as quantized ones, run as before.
    """
    forwards: dict[Any, Function] = {}
    for layer in filter(_is_lora, model.modules()):
        base = layer.base_layer
        forwards[layer] = partial(
            _adapted, layer, products.get(base, _Weights(base.weight, base.bias))
        )
    rotaries: dict[Any, Function] = {}  # by the file that has it
    weights = sum(parameter.numel() for parameter in model.parameters())
    compiles = tokens * weights >= WORTH_COMPILING and _can_compile()
    if compiles:
        forwards |= _compiled_forwards(model)
        files = {sys.modules[type(module).__module__] for module in model.modules()}
        rotaries = {file: getattr(file, ROTARY) for file in files if hasattr(file, ROTARY)}
    try:
        for module, forward in forwards.items():  # on the instance, it hides the class's
            module.forward = forward
        for file, rotary in rotaries.items():
            setattr(file, ROTARY, _compiled(rotary))
        with _without_errors() if compiles else nullcontext():
            yield
    finally:
        for module in forwards:
            vars(module).pop("forward", None)
        for file, rotary in rotaries.items():
            setattr(file, ROTARY, rotary)


class _Weights(NamedTuple):
    """The product with a frozen weight (out, in) and bias (out,) in any precision."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def output(self, x: torch.Tensor) -> torch.Tensor:
        return linear(x, self.weight, self.bias)

    def input_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient @ self.weight


class _AdaptedLinear(torch.autograd.Function):
    """A frozen linear layer with an adapter."""

    @staticmethod
    def forward(
        context: Any,
        x: torch.Tensor,
        dropped: torch.Tensor | None,
        product: FrozenProduct,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        """Maps x (tokens, in) to (tokens, out).

        `dropped` (tokens, in) is what the adapter gets if that is not x; `a` (rank, in) and `b`
        (out, rank) are trained.
        """
        a, b = a.to(x.dtype), b.to(x.dtype)
        adapter_input = x if dropped is None else dropped
        middle = (adapter_input @ a.t()).mul_(scale)  # (tokens, rank)
        context.save_for_backward(adapter_input, middle, a, b)
        context.product, context.scale, context.drops = product, scale, dropped is not None
        return product.output(x).addmm_(middle, b.t())

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        adapter_input, middle, a, b = context.saved_tensors
        of_middle = (gradient @ b).mul_(context.scale)  # (tokens, rank)
        of_x = of_dropped = None
        if context.needs_input_grad[0]:
            of_x = context.product.input_gradient(gradient)
            if not context.drops:
                of_x.addmm_(of_middle, a)
        if context.needs_input_grad[1]:
            of_dropped = of_middle @ a
        of_a = of_middle.t() @ adapter_input
        of_b = (middle.t() @ gradient).t()  # on a CPU twice as fast as its transpose
        return of_x, of_dropped, None, of_a.float(), of_b.float(), None


def _adapted(layer: Any, product: FrozenProduct, x: torch.Tensor) -> torch.Tensor:
    """Does what peft's layer does with x (…, in)."""
    dropout = layer.lora_dropout[ADAPTER]
    x = x.to(layer.base_layer.weight.dtype)
    dropped = None
    if layer.training and not isinstance(dropout, torch.nn.Identity):
        dropped = dropout(x).flatten(0, -2)
    a, b = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    with torch.autocast(x.device.type, enabled=False):
        output: torch.Tensor = _AdaptedLinear.apply(
            x.flatten(0, -2), dropped, product, a, b, layer.scaling[ADAPTER]
        )
    return output.unflatten(0, x.shape[:-1])


def _is_lora(layer: Any) -> bool:
    """Whether `_adapted` may replace the forward pass of a layer."""
    from peft.tuners.lora import Linear

    if type(layer) is not Linear or type(layer.base_layer) is not torch.nn.Linear:
        return False
    frozen = not any(parameter.requires_grad for parameter in layer.base_layer.parameters())
    trained = (layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight)
    return (
        frozen
        and ADAPTER not in layer.lora_variant  # such as DoRA
        and layer.lora_B[ADAPTER].bias is None
        and all(weight.dtype == torch.float32 for weight in trained)
    )


def _compiled_forwards(model: Any) -> dict[Any, Function]:
    """Returns forward passes for the model's norms and gated feed-forward blocks."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    forwards: dict[Any, Function] = {}
    norms: dict[type, Function] = {}
    gated, gate = LlamaMLP.forward.__code__, _compiled(_gate)
    for module in model.modules():
        kind = type(module)
        code = getattr(kind.forward, "__code__", None)
        if kind.__name__.endswith("RMSNorm"):
            if kind not in norms:
                norms[kind] = _compiled(kind.forward)
            forwards[module] = partial(norms[kind], module)
        elif code and (code.co_code, code.co_names) == (gated.co_code, gated.co_names):
            forwards[module] = partial(_gated, gate, module)
    return forwards


def _gated(gate: Function, mlp: Any, x: torch.Tensor) -> torch.Tensor:
    """Does what the feed-forward block of Llama and many other models does with x (…, in)."""
    output: torch.Tensor = mlp.down_proj(gate(mlp.act_fn, mlp.gate_proj(x), mlp.up_proj(x)))
    return output


def _gate(activation: Function, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    product: torch.Tensor = activation(gate) * up
    return product


def _compiled(function: Function) -> Function:
    """Compiles a function for any number of tokens; a resumed run must add in the same order."""
    compiled: Function = torch.compile(function, dynamic=True, options={"deterministic": True})
    return compiled


def _without_errors() -> AbstractContextManager[None]:
    """Returns a context in which a function that cannot be compiled runs as it is."""
    import torch._dynamo.config

    context: AbstractContextManager[None] = torch._dynamo.config.patch(suppress_errors=True)
    return context


def _can_compile() -> bool:
    """Tries to compile: on a GPU, this needs Triton and a C compiler."""
    try:
        x = torch.ones(1, 2, 8, device=device(), requires_grad=True)
        _compiled(_gate)(silu, x, x).sum().backward()
    except Exception as error:  # whatever a compiler may say
        logger.info(f"torch.compile does not work here, which is slower ({in_one_line(error)})")
        return False
    return True
