"""Loads the base model and its tokenizer, in the right precision on the right device.

Also says how long a row the model can read.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

from medtune.runtime.errors import InputError, in_one_line

logger = logging.getLogger("medtune")

BASE = Path("models/base")
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
NO_LIMIT = 2**30  # tokens: a state-space model reads rows of any length
POSITION_TABLES = re.compile(r"position|pos_e|\bwpe\b")  # names of parameters and buffers


def load_tokenizer(folder: Path = BASE) -> Any:
    from transformers import AutoTokenizer

    require(folder / "tokenizer.json", "download@model")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_base(
    precision: str = "auto",
    quantization: str = "none",
    folder: Path = BASE,
    double_quantization: bool = True,
) -> Any:
    """Loads the base model on the best available device, in evaluation mode.

    `precision` is auto, fp32, bf16 or fp16. `quantization` is none, nf4 or fp4 (bitsandbytes): the
    format in which linear layers store their weights, while they compute in `precision`.
    """
    import torch
    from transformers import BitsAndBytesConfig
    from transformers.utils import logging as transformers_logging

    require(folder / "config.json", "download@model")
    # cuDNN's attention prepares for each new shape (25 ms on an H100); nearly every pass has one.
    torch.backends.cuda.enable_cudnn_sdp(False)
    transformers_logging.disable_progress_bar()
    dtype = getattr(torch, DTYPES[resolve_precision(precision)])
    config = None
    if quantization != "none":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization,
            bnb_4bit_use_double_quant=double_quantization,
            bnb_4bit_compute_dtype=dtype,
        )
    model = _from_files(folder, dtype=dtype, quantization_config=config)
    if config is None:
        return model if shards_weights() else model.to(device())
    for module in model.modules():
        # On a CPU bitsandbytes would repack the weights at the first validation, for a kernel
        # without a backward pass: training after that would get wrong gradients.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _from_files(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **options)
    except (AttributeError, ImportError, KeyError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"transformers cannot load {folder} as a causal language model "
            f"({in_one_line(error)}): choose another download.model"
        ) from None


def resolve_precision(precision: str) -> str:
    """Resolves `auto`: bf16 on a GPU, or fp16 on an older one, and fp32 on a CPU."""
    import torch

    if precision != "auto":
        return precision
    if device() != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def autocast(precision: str) -> Any:
    """Returns the context in which a model of this precision runs."""
    import torch

    dtype = getattr(torch, DTYPES[resolve_precision(precision)])
    return torch.autocast(device(), dtype, enabled=dtype != torch.float32)


def device() -> str:
    """Returns "cuda" if there is a GPU and the launch configuration allows it, else "cpu"."""
    import torch

    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"
    return "cuda" if torch.cuda.is_available() and not on_cpu else "cpu"


def shards_weights() -> bool:
    """Whether FSDP will move the weights to the devices, layer by layer, each a part of them."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def to_device(tensor: Any, device: Any) -> Any:
    """Copies a tensor, to a GPU without waiting for it."""
    if device.type == "cuda" and not tensor.is_cuda:
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def context_tokens(config: Any) -> int:
    """Returns the longest row, in tokens, that the model was made for."""
    length: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else NO_LIMIT


def check_length(config: Any, tokens: int, what: str, remedy: str) -> None:
    """Raises InputError for a row that the model cannot read; warns if it has never read so long.

    A table of learned positions ends at some length. Rotary positions go on, unlike the training.
    """
    limit = context_tokens(config)
    if tokens <= limit:
        return
    fact = f"{what} has {tokens} tokens, more than the {limit} positions of the model"
    if _has_position_table(config):
        raise InputError(f"{fact}: {remedy} to {limit} or less, or choose another download.model")
    logger.warning(f"{fact}, which answers worse beyond them: {remedy}")


def _has_position_table(config: Any) -> bool:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # no weights
        model = AutoModelForCausalLM.from_config(config)
    tables = (*dict(model.named_parameters()), *dict(model.named_buffers()))
    return any(POSITION_TABLES.search(name) for name in tables)


def require(path: Path, stage: str) -> None:
    """Raises InputError with the command that makes the file, if it is missing."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run dvc repro {stage}")
