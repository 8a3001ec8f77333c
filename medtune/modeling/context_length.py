"""What a model can read at most: the longest row, and the highest token id."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from medtune.modeling.loading import BASE, require
from medtune.modeling.token_files import read_tokens
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

NO_LIMIT = 2**30  # tokens: a state-space model reads rows of any length
POSITION_TABLES = re.compile(r"position|pos_e|\bwpe\b")  # names of parameters and buffers


def context_tokens(config: Any) -> int:
    """Returns the longest row, in tokens, that the model was made for."""
    length: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else NO_LIMIT


def check_token_files(paths: Sequence[Path], folder: Path = BASE) -> None:
    """Raises InputError if a row has a token or a length that the model in `folder` cannot read."""
    from transformers import AutoConfig

    columns = [read_tokens(path)["input_ids"] for path in paths]
    longest = max(pc.max(pc.list_value_length(column)).as_py() or 0 for column in columns)
    highest = max(pc.max(pc.list_flatten(column)).as_py() or 0 for column in columns)
    require(folder / "config.json", "download@model")
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    words = config.get_text_config().vocab_size
    if highest >= words:
        raise InputError(
            f"the tokenizer gives the token {highest}, but the model has embeddings for {words} "
            "tokens only, from 0 on: choose a download.model whose tokenizer belongs to it"
        )
    check_length(config, longest, "the longest card", "lower tokenize.max_length_tokens")


def check_length(config: Any, tokens: int, what: str, remedy: str) -> None:
    """Raises InputError for a row that the model cannot read; warns if it has never read so long.

    A table of learned positions ends at some length. Rotary positions go on, unlike the training.
    """
    limit = context_tokens(config)
    if tokens <= limit:
        return
    fact = f"{what} has {tokens} tokens, more than the {limit} positions of the model"
    if _has_position_table(config):
        raise InputError(f"{fact}: {remedy} to {limit} or less, or choose another download.model")
    logger.warning(f"{fact}, which answers worse beyond them: {remedy}")


def _has_position_table(config: Any) -> bool:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # no weights
        model = AutoModelForCausalLM.from_config(config)
    tables = (*dict(model.named_parameters()), *dict(model.named_buffers()))
    return any(POSITION_TABLES.search(name) for name in tables)
