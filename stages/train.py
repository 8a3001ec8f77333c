"""Trains a LoRA adapter on the training cards.

Reads data/tokens/{train,validation}.arrow, data/tokens/prompt.json and models/base/; writes the
adapter with its tokenizer into models/adapter/, metrics/train.json and the curves in plots/train/.

    python -m stages.train
"""

import logging
import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from medtune.config.loading import load_params, read_yaml
from medtune.config.schema import Train
from medtune.modeling.adapters import ADAPTER, add_adapter, first_weights, save_adapter
from medtune.modeling.collation import Cards
from medtune.modeling.launch import launch
from medtune.modeling.loading import device, load_base, load_tokenizer, resolve_precision
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import PROMPT_FORMAT, TOKENS, columns, read_tokens
from medtune.runtime.atomic_files import write_csv, write_json
from medtune.runtime.progress import is_main_process
from medtune.runtime.stage import run
from medtune.training.checkpoints import Checkpoints, checkpoint_root, fingerprint, prune
from medtune.training.history import Point

logger = logging.getLogger("medtune")

METRICS = Path("metrics/train.json")
PLOTS = Path("plots/train")
LIBRARIES = ("accelerate", "bitsandbytes", "peft", "torch", "transformers")


def announce(model: Any, params: Train) -> tuple[int, float]:
    trainable, total = model.get_nb_trainable_parameters()
    percent = 100 * trainable / total
    logger.info(
        f"{trainable:,} of {total:,} parameters are trained ({percent:.2f} %), precision "
        f"{resolve_precision(params.precision)} on {device()}, quantization {params.quantization}"
    )
    if device() == "cpu" and resolve_precision(params.precision) == "fp16":
        logger.warning("fp16 is slow on a CPU: set train.precision to auto, which is fp32 there")
    return trainable, percent


def stage_inputs() -> list[Path]:
    """Returns every file that this stage depends on, as declared in dvc.yaml."""
    deps = map(Path, read_yaml(Path("dvc.yaml"))["stages"]["train"]["deps"])
    files = [path for dep in deps for path in (dep, *dep.rglob("*")) if path.is_file()]
    return [path for path in files if "__pycache__" not in path.parts]


def checkpoint_folder(params: Train, seed: int) -> Path:
    """Returns the checkpoint folder for these very inputs, code, libraries and processor."""
    import torch

    values = {
        "params": params.model_dump(),
        "seed": seed,
        "versions": {name: version(name) for name in LIBRARIES},
        "device": torch.cuda.get_device_name() if device() == "cuda" else platform.machine(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
    return checkpoint_root() / "train" / fingerprint(values, stage_inputs())


def write_results(points: list[Point], params: Train, trainable: int, percent: float) -> None:
    """Writes the curves and metrics/train.json, with the validation loss of the kept adapter."""
    curves = {name: [p for p in points if p.curve == name] for name in ("train", "validation")}
    for curve, own in curves.items():
        columns = ("step", "epoch", "loss", "learning_rate")
        rows = [[getattr(point, name) for name in columns] for point in own]
        write_csv(PLOTS / f"{curve}.csv", columns, rows)
    kept = curves["validation"][-1]
    if params.load_best_model_at_end:
        kept = min(curves["validation"], key=lambda point: point.loss)
    steps = np.diff([0, *(point.step for point in curves["train"])])
    write_json(
        METRICS,
        {
            "train_loss": np.average([point.loss for point in curves["train"]], weights=steps),
            "validation_loss": kept.loss,
            "validation_perplexity": math.exp(kept.loss),
            "steps": points[-1].step,
            "best_step": kept.step,
            "tokens": points[-1].tokens,
            "trainable_parameters": trainable,
            "trainable_percent": percent,
        },
    )
    logger.info(
        f"{points[-1].step} steps, {points[-1].tokens} tokens → validation perplexity "
        f"{math.exp(kept.loss):.2f} at step {kept.step}: {ADAPTER}/"
    )


def main() -> int:
    params, shared_seed = load_params("train", "seed")
    seed = params.seed_or(shared_seed)
    launch(params.launch, "stages.train")
    from medtune.training.tracking import reporting, requested_trackers

    trackers = requested_trackers()
    files = (TOKENS / "train.arrow", TOKENS / "validation.arrow")
    training, validation = (columns(read_tokens(path), *Cards._fields) for path in files)
    logger.info("loading the model")
    tokenizer = load_tokenizer()
    encoder = PromptEncoder(tokenizer, PromptFormat.load(PROMPT_FORMAT))
    model = load_base(
        params.precision,
        params.quantization,
        double_quantization=params.bnb_4bit_use_double_quant,
    )
    model = add_adapter(model, params, seed)
    from medtune.training.loop import train  # after peft, which it would import whole

    trainable, percent = announce(model, params)
    checkpoints = Checkpoints(checkpoint_folder(params, seed))
    prune(checkpoints.folder.parent)

    points: list[Point] = []
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else encoder.end_id
    with first_weights(model) as first, reporting(trackers, params.model_dump()) as report:
        for point in train(model, training, validation, params, seed, pad_id, checkpoints):
            points.append(point)
            report(point)
            if point.curve == "validation":
                logger.info(f"step {point.step}: validation loss {point.loss:.3f}")
        save_adapter(model, encoder, first=first)
    if is_main_process():
        write_results(points, params, trainable, percent)
        checkpoints.clear()
    return points[-1].tokens


if __name__ == "__main__":
    run("train", main)
