"""Trains a LoRA adapter on the training cards.

Reads data/tokens/{train,validation}.arrow, data/tokens/prompt.json and models/base/; writes the
adapter with its tokenizer into models/adapter/, metrics/train.json and the curves in plots/train/.

    python -m stages.train
"""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from medtune.adapters import ADAPTER, add_adapter, save_adapter
from medtune.files import write_csv, write_json
from medtune.models import load_base, load_tokenizer, resolve_precision
from medtune.params import Train, load_params
from medtune.prompts import PromptEncoder, PromptFormat
from medtune.stage import run
from medtune.tokens import PROMPT_FORMAT, TOKENS, read_tokens

logger = logging.getLogger("medtune")

METRICS = Path("metrics/train.json")
PLOTS = Path("plots/train")


def announce(model: Any, params: Train) -> tuple[int, float]:
    trainable, total = model.get_nb_trainable_parameters()
    percent = 100 * trainable / total
    logger.info(
        f"{trainable:,} of {total:,} parameters are trained ({percent:.2f} %), precision "
        f"{resolve_precision(params.precision)}, quantization {params.quantization}"
    )
    return trainable, percent


def main() -> int:
    from medtune.training import Point, train

    params, seed = load_params("train", "seed")
    training = read_tokens(TOKENS / "train.arrow").to_pydict()
    validation = read_tokens(TOKENS / "validation.arrow").to_pydict()
    tokenizer = load_tokenizer()
    encoder = PromptEncoder(tokenizer, PromptFormat.load(PROMPT_FORMAT))
    model = add_adapter(load_base(params.precision, params.quantization), params, seed)
    trainable, percent = announce(model, params)

    curves: dict[str, list[Point]] = {"train": [], "validation": []}
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else encoder.end_id
    for point in train(model, training, validation, params, seed, pad_id):
        curves[point.curve].append(point)
        if point.curve == "validation":
            logger.info(f"step {point.step}: validation loss {point.loss:.3f}")

    save_adapter(model, encoder)
    for curve, points in curves.items():
        columns = ("step", "epoch", "loss", "learning_rate")
        rows = [[getattr(point, name) for name in columns] for point in points]
        write_csv(PLOTS / f"{curve}.csv", columns, rows)
    tokens = params.num_train_epochs * sum(len(ids) for ids in training["input_ids"])
    last = {curve: points[-1] for curve, points in curves.items()}
    steps = np.diff([0, *(point.step for point in curves["train"])])
    mean_loss = np.average([point.loss for point in curves["train"]], weights=steps)
    write_json(
        METRICS,
        {
            "train_loss": mean_loss,
            "validation_loss": last["validation"].loss,
            "validation_perplexity": math.exp(last["validation"].loss),
            "steps": last["train"].step,
            "tokens": tokens,
            "trainable_parameters": trainable,
            "trainable_percent": percent,
        },
    )
    logger.info(
        f"{len(training['id'])} cards, {last['train'].step} steps → validation perplexity "
        f"{math.exp(last['validation'].loss):.2f}: {ADAPTER}/"
    )
    return tokens


if __name__ == "__main__":
    run("train", main)
