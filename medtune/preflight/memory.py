"""How much memory train and evaluate will take, without loading the weights.

What autograd keeps, what its temporaries cost and what the allocator wastes depend on the model,
the recipe and the C library. So medtune.preflight.slices takes the largest steps with slices of the
model, its first layers with random weights. Two slices give what a layer adds, and memory grows by
that with every layer.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from medtune.config.schema import Train
from medtune.preflight.slices import SIDE_BY_SIDE
from medtune.runtime.errors import InputError

Stage = Literal["train", "evaluate"]
STAGES: tuple[Stage, ...] = ("train", "evaluate")
SLICES = (2, 8)  # layers
LIMIT_S = 300


def peak_bytes(config: Path, job: dict[str, Any]) -> dict[Stage, int]:
    """The high-water mark of each stage's process, or of the GPU's memory where there is one.

    `config` is the folder of config.json. `job` holds the section `train` and the lengths of the
    largest batches: `rows` and `loss_starts` of train, `likelihood` (of as many rows), `prompts`
    and, once answers have grown, `cached` tokens of each prompt.
    """
    layers = layer_count(config)
    depths = SLICES if layers > SLICES[-1] else (layers,)
    with TemporaryDirectory() as folder:
        for depth in depths:
            write_slice(config, depth, Path(folder) / str(depth))
        jobs = [
            {**job, "stage": stage, "folder": str(Path(folder) / str(depth))}
            for stage in STAGES
            for depth in depths
        ]
        marks = _measure(jobs)
    peaks: dict[Stage, int] = {}
    for n, stage in enumerate(STAGES):
        phases = zip(*marks[n * len(depths) : (n + 1) * len(depths)], strict=True)
        peaks[stage] = max(_extrapolate(depths, phase, layers) for phase in phases)
    return peaks


def _extrapolate(depths: tuple[int, ...], marks: tuple[int, ...], layers: int) -> int:
    a_layer = (marks[-1] - marks[0]) / max(1, depths[-1] - depths[0])
    return round(marks[-1] + a_layer * (layers - depths[-1]))


def count_parameters(config: Path, train: Train) -> tuple[int, int]:
    """Trained and all parameters, counted on a model without storage."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from medtune.modeling.adapters import add_adapter

    recipe = train.model_copy(update={"quantization": "none", "init_lora_weights": True})
    try:
        content = AutoConfig.from_pretrained(config, local_files_only=True)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(content)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"transformers cannot build what config.json says: {reason}") from None
    with torch.device("meta"):
        return add_adapter(model, recipe, 0).get_nb_trainable_parameters()


def layer_count(config: Path) -> int:
    content = json.loads((config / "config.json").read_text(encoding="utf-8"))
    return content.get("text_config", content)["num_hidden_layers"]


def write_slice(config: Path, layers: int, folder: Path) -> None:
    """Writes a checkpoint of the first layers of a model, with random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    content = AutoConfig.from_pretrained(config, local_files_only=True)
    text = content.get_text_config()
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    dtype = content.dtype or torch.float32  # as the weights on disk, which the stages map
    AutoModelForCausalLM.from_config(content, dtype=dtype).save_pretrained(folder)


def _measure(jobs: list[dict[str, Any]]) -> list[list[int]]:
    """The marks of each job, from a fresh interpreter that has done nothing else."""
    # Jobs run side by side, and waiting for each other's threads would take long.
    threads = max(1, (os.cpu_count() or 1) // SIDE_BY_SIDE)
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "medtune.preflight.slices"],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"not measured: a few layers take more than {LIMIT_S} s") from None
    if answer.returncode != 0:
        reasons = re.findall(r"^[\w.]+Error: (.+)", answer.stderr, re.MULTILINE)
        reason = reasons[0] if reasons else "a process was killed, as when memory runs out"
        raise InputError(f"a few layers alone do not run: {reason}")
    return json.loads(answer.stdout)
