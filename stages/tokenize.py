"""Turns the records of each split into the token ids that the model is trained and tested on.

Reads data/split/ and the tokenizer in models/base/; writes
data/tokens/{train,validation,test}.arrow, data/tokens/prompt.json (the prompt format, for whoever
asks the model later) and metrics/tokenize.json.

    python -m stages.tokenize
"""

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa

from medtune.errors import InputError
from medtune.files import read_table, replacing, write_json
from medtune.models import load_tokenizer
from medtune.params import SPLITS, Tokenize, load_params
from medtune.progress import progress
from medtune.prompts import PromptEncoder, PromptFormat
from medtune.stage import run
from medtune.tokens import PROMPT_FORMAT, SCHEMA, TOKENS, write_tokens

logger = logging.getLogger("medtune")

SPLIT = Path("data/split")
METRICS = Path("metrics/tokenize.json")


def token_row(
    record: dict[str, str], encoder: PromptEncoder, params: Tokenize, disclaimer: str | None
) -> dict[str, Any]:
    """The record with its ids; an answer that is too long is cut, its end-of-turn token kept.

    The loss covers `input_ids[loss_start:]`: the answer and its end-of-turn token, or all but the
    first token, which nothing predicts.
    """
    prompt = encoder.question_ids(record["question"])
    room = max(0, params.max_length_tokens - len(prompt) - 1)
    text = record["answer"] + (f" {disclaimer}" if disclaimer else "")
    answer = encoder.answer_ids(text)
    return {
        **{name: record[name] for name in SCHEMA.names if name in record},
        "input_ids": [*prompt, *answer[:room], encoder.end_id],
        "prompt_length": len(prompt),
        "loss_start": 1 if params.loss_on == "all" else len(prompt),
        "truncated": len(answer) > room,
    }


def check_prompts(rows: list[dict[str, Any]], max_length_tokens: int) -> None:
    """Refuses prompts that leave no room for a token of an answer and its end."""
    longest = max((row["prompt_length"] for row in rows), default=0)
    too_long = [row["id"] for row in rows if row["prompt_length"] + 2 > max_length_tokens]
    if too_long:
        raise InputError(
            f"tokenize.max_length_tokens is {max_length_tokens}, which leaves no room for an "
            f"answer in {len(too_long)} records, {too_long[0]} the first: raise it to "
            f"{longest + 2} or more"
        )


def counts(split: str, table: pa.Table) -> dict[str, int]:
    lengths = table["input_ids"].combine_chunks().value_lengths().to_numpy()
    return {
        f"{split}.records": table.num_rows,
        f"{split}.tokens": int(lengths.sum()),
        f"{split}.supervised_tokens": int((lengths - table["loss_start"].to_numpy()).sum()),
        f"{split}.truncated": int(table["truncated"].to_numpy(zero_copy_only=False).sum()),
    }


def main() -> int:
    params = load_params("tokenize")
    encoder = PromptEncoder(
        load_tokenizer(),
        PromptFormat(params.prompt_style, params.system_prompt, params.disclaimer),
    )
    tables: dict[str, pa.Table] = {}
    metrics: dict[str, int] = {}
    for split in SPLITS:
        records = read_table(SPLIT / f"{split}.parquet", "split").to_pylist()
        disclaimer = None if split == "test" else params.disclaimer
        bar = progress(records, unit="record")
        rows = [token_row(record, encoder, params, disclaimer) for record in bar]
        check_prompts(rows, params.max_length_tokens)
        tables[split] = pa.Table.from_pylist(rows, schema=SCHEMA)
        metrics |= counts(split, tables[split])
    for name, table in tables.items():
        write_tokens(TOKENS / f"{name}.arrow", table)
    with replacing(PROMPT_FORMAT) as path:
        encoder.format.save(path)
    write_json(METRICS, metrics)
    total = sum(metrics[f"{split}.tokens"] for split in SPLITS)
    cut = sum(metrics[f"{split}.truncated"] for split in SPLITS)
    logger.info(
        f"{sum(t.num_rows for t in tables.values())} records → {total} tokens, {cut} answers cut "
        f"at {params.max_length_tokens} tokens: {TOKENS}/"
    )
    return total


if __name__ == "__main__":
    run("tokenize", main)
