"""What a reader needs to judge figures, nothing that tells one machine from its like."""

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.turns import gpu


def machine(threads: int) -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if gpu() else _processor()
    return {"device": device, "cores": os.cpu_count(), "threads": threads}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Of those packages that are installed."""
    installed = [name for name in packages if importlib.util.find_spec(name.replace("-", "_"))]
    return {name: importlib.metadata.version(name) for name in installed}


def hardware_text(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    return f"{machine['device']}, {machine['cores']} cores, {machine['threads']} threads"


def versions_text(results: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(results["versions"].items()))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
