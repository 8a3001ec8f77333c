"""Makes the types of GGUF files that only llama.cpp's own quantizer writes, such as q4_k_m."""

import logging
import re
import shlex
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from gguf import GGUFReader, LlamaFileType

from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

PACKAGE = "cyllama"  # has wheels with llama.cpp's quantizer
LLAMA_CPP_TYPE = re.compile(r"bf16|(i?q|tq)\d_\w+", re.IGNORECASE)
K_BLOCK = 256  # weights of a row that share a block of a K-quant


def check_quantizer(type_: str, full: Path, path: Path, option: str) -> None:
    """Raises InputError if the quantizer has no such type, or is not installed.

    `full` is the fp32 file that the commands in the error make, with `option`, on the way.
    """
    if f"MOSTLY_{type_.upper()}" not in LlamaFileType.__members__:
        raise InputError(f"llama.cpp has no type {type_}: name another one, such as q4_k_m")
    if find_spec(PACKAGE) is None:
        raise InputError(
            f"--type {type_} is made by llama.cpp's quantizer: run `pip install {PACKAGE}` and try "
            f"again, or `medtune export gguf{option} --type f32 {shlex.quote(str(full))}` and then "
            f"`llama-quantize {shlex.quote(str(full))} {shlex.quote(str(path))} {type_.upper()}`"
        )


def quantize(full: Path, path: Path, type_: str) -> None:
    """Writes the fp32 file `full` as a file of the type, and says which types its tensors have."""
    from cyllama.llama import llama_cpp

    said: list[str] = []
    llama_cpp.set_log_callback(lambda _, text: said.append(text))
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype = LlamaFileType[f"MOSTLY_{type_.upper()}"].value
    try:
        llama_cpp.model_quantize(str(full), str(path), params)
    except RuntimeError as error:
        reason = "".join(said).strip().splitlines()[-1:] or [str(error)]
        raise InputError(
            f"llama.cpp could not write the type {type_} ({reason[0]}): name another one"
        ) from None
    logger.info(matrix_types(path, type_))


def matrix_types(path: Path, type_: str) -> str:
    """Says which types the matrices of a file have, and whether their rows fit a K-quant."""
    matrices = [tensor for tensor in GGUFReader(path).tensors if len(tensor.shape) > 1]
    types = Counter(tensor.tensor_type.name.lower() for tensor in matrices).most_common()
    found = ", ".join(f"{count} {name}" for name, count in types)
    others = sum(int(tensor.shape[0]) % K_BLOCK != 0 for tensor in matrices)
    if "_k" not in type_.lower() or not others:
        return f"matrices by type: {found}"
    return (
        f"matrices by type: {found}; llama.cpp chose larger types for {others} of "
        f"{len(matrices)}, whose rows are no multiple of {K_BLOCK} weights"
    )
