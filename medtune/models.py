"""Loading the base model and its tokenizer, in the right precision on the right device."""

from pathlib import Path
from typing import Any

from medtune.errors import InputError

BASE = Path("models/base")
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def load_tokenizer(folder: Path = BASE) -> Any:
    from transformers import AutoTokenizer

    require(folder / "tokenizer.json", "download@model")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_base(precision: str = "auto", quantization: str = "none", folder: Path = BASE) -> Any:
    """The base model on the best device there is, in evaluation mode.

    `precision` is auto, fp32, bf16 or fp16; `quantization` none, nf4 or fp4 (bitsandbytes, with
    double quantisation), which then is how the weights of the linear layers are held.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils import logging as transformers_logging

    require(folder / "config.json", "download@model")
    transformers_logging.disable_progress_bar()
    dtype = getattr(torch, DTYPES[resolve_precision(precision)])
    config = None
    if quantization != "none":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, quantization_config=config, local_files_only=True
    )
    return model.to(device()) if config is None else model


def resolve_precision(precision: str) -> str:
    """What `auto` means here: bf16 or, on an older GPU, fp16; fp32 on a CPU."""
    import torch

    if precision != "auto":
        return precision
    if device() != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def autocast(precision: str) -> Any:
    """The context in which a model of this precision runs."""
    import torch

    dtype = getattr(torch, DTYPES[resolve_precision(precision)])
    return torch.autocast(device(), dtype, enabled=dtype != torch.float32)


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def require(path: Path, stage: str) -> None:
    """Raises InputError with the way to make the file again if it is missing."""
    if not path.is_file():
        raise InputError(f"{path} is missing: run dvc repro {stage}")
