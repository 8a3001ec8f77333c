"""Turns the records of each split into the token ids that the model is trained and tested on.

Reads data/split/ and the tokenizer in models/base/; writes
data/tokens/{train,validation,test}.arrow, data/tokens/prompt.json (the prompt format, for later
questions to the model) and metrics/tokenize.json.

    python -m stages.tokenize
"""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from medtune.config.allowed_values import SPLITS, SplitName
from medtune.config.loading import load_params
from medtune.config.schema import Tokenize
from medtune.modeling.loading import load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from medtune.modeling.token_files import (
    CONVERSATIONS,
    COUNTS,
    HISTORY,
    PROMPT_FORMAT,
    SCHEMA,
    TOKENS,
    check_token_files,
    count,
    has_history,
    read_batches,
    token_writer,
)
from medtune.modeling.token_rows import card_batch, conversation_batch
from medtune.runtime.atomic_files import replacing, write_json
from medtune.runtime.errors import InputError
from medtune.runtime.stage import run

logger = logging.getLogger("medtune")

SPLIT = Path("data/split")
METRICS = Path("metrics/tokenize.json")


def write_split(
    writer: pa.RecordBatchFileWriter, split: SplitName, encoder: PromptEncoder, params: Tokenize
) -> Counter[str]:
    """Writes the rows of a split and returns their COUNTS."""
    counts = Counter(dict.fromkeys(COUNTS, 0))
    no_room: dict[str, int] = {}
    for records in read_batches(SPLIT / f"{split}.parquet"):
        rows_of = conversation_batch if HISTORY.name in records.schema.names else card_batch
        rows, more = rows_of(records, encoder, params, split)
        writer.write(rows)
        no_room |= more
        counts.update(count(rows, records.num_rows))
    check_room(split, counts, no_room, params)
    return counts


def check_room(
    split: SplitName, counts: Mapping[str, int], no_room: dict[str, int], params: Tokenize
) -> None:
    """Raises InputError if prompts leave no room for an answer, unless they may be dropped."""
    limit = f"tokenize.max_length_tokens is {params.max_length_tokens}, which leaves"
    if no_room and params.truncation == "cut":
        raise InputError(
            f"{limit} no room for an answer in {len(no_room)} records of {split}, "
            f"first in {next(iter(no_room))}: raise it to {max(no_room.values()) + 2} or more, or "
            "set tokenize.truncation to drop"
        )
    if counts["dropped"] and not counts["records"]:
        raise InputError(
            f"{limit} no record of {split}: raise it, or set tokenize.truncation to cut"
        )
    if no_room and split == "test":
        logger.warning(f"{limit} no room to answer {len(no_room)} test questions: they are skipped")


def main() -> int:
    params = load_params("tokenize")
    form = PromptFormat.of(params)
    encoder = PromptEncoder(load_tokenizer(), form)
    schema = CONVERSATIONS if has_history(SPLIT / "train.parquet") else SCHEMA
    with ExitStack() as files:
        writers = {
            split: files.enter_context(token_writer(TOKENS / f"{split}.arrow", schema))
            for split in SPLITS
        }
        counts = {split: write_split(writers[split], split, encoder, params) for split in SPLITS}
    check_token_files([TOKENS / f"{split}.arrow" for split in SPLITS])
    with replacing(PROMPT_FORMAT) as path:
        form.save(path)
    write_json(
        METRICS, {f"{split}.{key}": n for split in SPLITS for key, n in counts[split].items()}
    )
    total = sum((counts[split] for split in SPLITS), Counter())
    if total["rows"]:
        logger.info(
            f"conversations: {total['rows']} rows, {total['turns_left_out']} earlier turns left out"
        )
    logger.info(
        f"{total['records'] + total['dropped']} records → {total['tokens']} tokens, "
        f"{total['truncated']} answers cut at {params.max_length_tokens} tokens, "
        f"{total['dropped']} records dropped: {TOKENS}/"
    )
    return total["tokens"]


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    run("tokenize", main)
