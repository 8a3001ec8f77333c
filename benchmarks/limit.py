"""The limit of the machine: FLOPs that LoRA training needs, and how fast matrices multiply."""

import time
from collections.abc import Mapping
from typing import Any

LARGE = 2048
SUSTAINED_S = 0.4  # per shape

Shape = tuple[int, int, int]


def flops_per_token(parameters: Mapping[str, int], supervised_share: float) -> float:
    """FLOPs that a useful token needs: 4·body + 4·head·share + 6·lora.

    The frozen weights take part in the forward pass and in the gradient of their inputs, 2 FLOPs a
    weight each; the adapter's have a gradient of their own too. The head is needed at the
    `supervised_share` of the positions only. Attention's own products are left out.
    """
    frozen = parameters["body"] + parameters["head"] * supervised_share
    return 4 * frozen + 6 * parameters["lora"]


def shapes(config: Mapping[str, Any], tokens: int, supervised: int) -> dict[str, Shape]:
    """The products (m, k)·(k, n) of a batch of so many tokens in this model, and a large one."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    return {
        "up": (tokens, hidden, wide),
        "down": (tokens, wide, hidden),
        "query": (tokens, hidden, hidden),
        "head": (supervised, hidden, config["vocab_size"]),
        "large": (LARGE, LARGE, LARGE),
    }


def measure(products: Mapping[str, Shape]) -> dict[str, float]:
    """FLOP/s that torch.mm sustains in each shape, in fp32 on a CPU and in bf16 on a GPU."""
    return {name: _rate(*shape) for name, shape in products.items()}


def _rate(m: int, k: int, n: int) -> float:
    import torch

    from benchmarks.turns import gpu, synchronize

    device, dtype = ("cuda", torch.bfloat16) if gpu() else ("cpu", torch.float32)
    left = torch.randn(m, k, device=device, dtype=dtype)
    right = torch.randn(k, n, device=device, dtype=dtype)
    out = torch.mm(left, right)
    synchronize()
    times, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SUSTAINED_S:
        for _ in range(4):
            torch.mm(left, right, out=out)
        synchronize()
        times += 4
    return 2 * m * k * n * times / elapsed
