"""The memory of common GPUs, for `medtune check --device`, and the device of this machine."""

from dataclasses import dataclass

from medtune.runtime.errors import InputError

# The total memory in GiB that torch reports, and the precision that `auto` means there.
GPUS = {
    "t4": (14.6, "fp16"),
    "v100": (15.8, "fp16"),
    "l4": (22.0, "bf16"),
    "a10g": (22.0, "bf16"),
    "rtx3090": (23.6, "bf16"),
    "rtx4090": (23.6, "bf16"),
    "a100-40": (39.4, "bf16"),
    "a100-80": (79.1, "bf16"),
    "h100": (79.1, "bf16"),
}


@dataclass(frozen=True)
class Device:
    name: str
    free_bytes: int
    is_gpu: bool
    auto: str  # the precision that `auto` means

    def computes_in_half(self, precision: str) -> bool:
        return (self.auto if precision == "auto" else precision) != "fp32"


def find_device(name: str | None) -> Device:
    """Returns the named device or, without a name, the one that medtune.modeling chooses."""
    if name in GPUS:
        gib, precision = GPUS[name]
        return Device(name, round(gib * 2**30), True, precision)
    if name not in (None, "cpu"):
        raise InputError(f"--device must be one of cpu, {', '.join(GPUS)}, got {name}")
    if name is None:
        import torch

        from medtune.modeling.loading import device, resolve_precision

        if device() == "cuda":
            free, _ = torch.cuda.mem_get_info()
            return Device(torch.cuda.get_device_name(), free, True, resolve_precision("auto"))
    import psutil

    return Device("cpu", psutil.virtual_memory().available, False, "fp32")
