"""Says in one line that memory was not enough: what was asked for, what was free, what to lower."""

import re
import sys
from typing import Any

REMEDIES = {
    "train": "lower train.tokens_per_pass or train.per_device_train_batch_size, or set "
    "train.gradient_checkpointing to true",
    "evaluate": "lower evaluate.batch_size",
}
CUDA = re.compile(r"Tried to allocate ([\d.]+ \w+)(?:.*?of which ([\d.]+ \w+) is free)?", re.DOTALL)
CPU = re.compile(r"tried to allocate (\d+) bytes")
NUMPY = re.compile(r"Unable to allocate ([\d.]+ \w+)")


def out_of_memory(error: BaseException, stage: str) -> str | None:
    """Returns the line for an error of torch, numpy or Python, or None for any other error."""
    message = str(error)
    place, asked, free = "main memory", "", None
    if is_cuda := _is_cuda(error):
        place = "the GPU"
        if found := CUDA.search(message):
            asked, free = found.groups()
    elif found := CPU.search(message):
        asked = f"{int(found[1]) / 2**30:.2f} GiB"
    elif isinstance(error, MemoryError):
        found = NUMPY.search(message)
        asked = found[1] if found else ""
    else:
        return None
    if not is_cuda:
        import psutil

        free = f"{psutil.virtual_memory().available / 2**30:.2f} GiB"
    line = f"out of memory on {place}" if is_cuda else f"out of {place}"
    line += f": {asked or 'more'} was asked for" + (f", {free} is free" if free else "")
    return f"{line}: {REMEDIES.get(stage.partition('_')[0], 'close other programs')}"


def _is_cuda(error: BaseException) -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)
