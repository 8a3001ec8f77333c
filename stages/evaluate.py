"""Answers the test questions with the base or the fine-tuned model and scores the answers.

Reads data/tokens/test.arrow, data/tokens/prompt.json, models/base/ and, for `finetuned`,
models/adapter/; writes data/predictions/<name>.parquet and metrics/evaluate_<name>.json.

    python -m stages.evaluate base
    python -m stages.evaluate finetuned
"""

import logging
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune.adapters import load_adapter
from medtune.batches import by_length, padded
from medtune.errors import InputError
from medtune.files import write_json, write_table
from medtune.models import device, load_base, load_tokenizer
from medtune.params import Evaluate, load_params
from medtune.progress import progress
from medtune.prompts import PromptEncoder, PromptFormat
from medtune.scores import TextScorer, score_table, signatures
from medtune.stage import run
from medtune.tokens import PROMPT_FORMAT, TOKENS, read_tokens

logger = logging.getLogger("medtune")

PREDICTIONS = Path("data/predictions")
METRICS = Path("metrics")
NAMES = ("base", "finetuned")
LOSS_BATCH = 16  # rows; more are slower on a CPU, their logits leave its caches


def answer_losses(model: Any, rows: dict[str, list[Any]]) -> list[tuple[float, int]]:
    """Summed negative log-likelihood in nats and number of the answer tokens of each row."""
    import torch

    from medtune.losses import token_losses
    from medtune.prefix import share_prefix

    share_prefix(model)
    result: dict[int, tuple[float, int]] = {}
    lengths = [len(ids) for ids in rows["input_ids"]]
    for numbers in progress(by_length(lengths, LOSS_BATCH), unit="batch"):
        ids = [rows["input_ids"][number] for number in numbers]
        starts = [rows["prompt_length"][number] for number in numbers]
        batch = {name: tensor.to(device()) for name, tensor in padded(ids, starts, 0).items()}
        with torch.inference_mode():
            losses, owners = token_losses(model, batch)
        for n, number in enumerate(numbers):
            own = losses[owners == n].double()
            result[number] = (own.sum().item(), len(own))
    return [result[number] for number in range(len(lengths))]


def predictions(
    model: Any, encoder: PromptEncoder, tokens: pa.Table, params: Evaluate, seed: int
) -> pa.Table:
    """The test records with answers and the statistics that medtune.scores adds up."""
    from medtune.generation import answer_all

    rows = tokens.to_pydict()
    prompts = [
        ids[:length] for ids, length in zip(rows["input_ids"], rows["prompt_length"], strict=True)
    ]
    losses = answer_losses(model, rows)
    answers = answer_all(model, encoder, prompts, params, seed)
    score = TextScorer(params.use_stemmer)
    columns = ("id", "kind", "topic", "group", "question")
    table = []
    for n, (answer, (nll, answer_tokens)) in enumerate(zip(answers, losses, strict=True)):
        text, disclaimed = encoder.format.without_disclaimer(answer.text)
        table.append(
            {
                **{column: rows[column][n] for column in columns},
                "reference": rows["answer"][n],
                "prediction": text,
                "nll": nll,
                "answer_tokens": answer_tokens,
                "stopped": answer.stopped,
                "new_tokens": answer.tokens,
                "disclaimer": disclaimed,
                **score(text, rows["answer"][n], rows["question"][n]),
            }
        )
    return pa.Table.from_pylist(table)


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in NAMES:
        raise InputError(
            f"evaluate takes one of {', '.join(NAMES)}, got {' '.join(sys.argv[1:])!r}"
        )
    params, seed = load_params("evaluate", "seed")
    tokens = read_tokens(TOKENS / "test.arrow")
    encoder = PromptEncoder(load_tokenizer(), PromptFormat.load(PROMPT_FORMAT))
    logger.info("loading the model")
    model = load_base()
    if name == "finetuned":
        model = load_adapter(model)
    table = predictions(model, encoder, tokens, params, seed)
    scores = score_table(table)
    counts = {"n": table.num_rows, "non_ascii_rows": sum(table["non_ascii"].to_pylist())}
    write_table(PREDICTIONS / f"{name}.parquet", table)
    write_json(METRICS / f"evaluate_{name}.json", counts | scores | signatures(params.use_stemmer))
    logger.info(
        f"{name}: {table.num_rows} questions → ROUGE-L {scores['rougeL']:.3f}, perplexity "
        f"{scores['perplexity']:.2f}: {PREDICTIONS / name}.parquet"
    )
    return sum(table["new_tokens"].to_pylist())


if __name__ == "__main__":
    run("_".join(["evaluate", *(name for name in sys.argv[1:] if name in NAMES)]), main)
