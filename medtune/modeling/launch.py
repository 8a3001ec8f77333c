"""Starts a stage in as many processes as an accelerate configuration in launch/ asks for."""

import difflib
import os
import sys
from pathlib import Path

from medtune.config.loading import read_yaml
from medtune.runtime.errors import InputError

LAUNCH = Path("launch")


def launch(name: str, module: str, *arguments: str) -> None:
    """Replaces this process by `accelerate launch -m module` if launch/<name>.yaml asks for it.

    Returns in each launched process, and at once if a single process is enough.
    """
    if "LOCAL_RANK" in os.environ:
        from medtune.modeling.distributed import accelerator

        accelerator()  # gives each process its device
        return
    path = LAUNCH / f"{name}.yaml"
    if not path.is_file():
        raise unknown_launch(name, module.rpartition(".")[2])
    config = read_yaml(path)
    os.environ["ACCELERATE_USE_CPU"] = str(config["use_cpu"])
    if not config["use_cpu"] and "gpu_ids" in config:
        _require_gpu(path)
    if config["num_processes"] == 1:
        return
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path)]
    here = config["num_processes"] // config["num_machines"]
    threads = os.environ.get("OMP_NUM_THREADS", max(1, (os.cpu_count() or 1) // here))
    command += [f"--num_cpu_threads_per_process={threads}", "-m", module, *arguments]
    sys.stderr.flush()
    os.execv(sys.executable, command)


def unknown_launch(name: str, section: str) -> InputError:
    """Returns the error for a `launch` in params.yaml that names no file in launch/."""
    known = sorted(path.stem for path in LAUNCH.glob("*.yaml"))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f": did you mean {near[0]}?" if near else ""
    return InputError(f"{section}.launch must be one of {', '.join(known)}, got {name}{hint}")


def _require_gpu(path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(f"{path} asks for a GPU, but torch finds none: set launch to local")
