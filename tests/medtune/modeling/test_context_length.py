from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from transformers import AutoConfig

from medtune.modeling.loading import NO_LIMIT, check_length, context_tokens
from medtune.modeling.token_files import SCHEMA, check_token_files, token_writer
from medtune.runtime.errors import InputError

TEXTS = dict.fromkeys(("id", "kind", "topic", "group", "question", "answer"), "text")
SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 8, "vocab_size": 9, "n_positions": 16}


def token_files(folder: Path, *rows: list[int]) -> list[Path]:
    """One token file for each row."""
    paths = []
    for number, ids in enumerate(rows):
        row = {"input_ids": ids, "prompt_length": 1, "loss_start": 1, "truncated": False}
        with token_writer(folder / f"{number}.arrow") as writer:
            writer.write_table(pa.Table.from_pylist([TEXTS | row], SCHEMA))
        paths.append(folder / f"{number}.arrow")
    return paths


def config(kind: str, **options: Any) -> Any:
    return AutoConfig.for_model(kind, **options)


def test_a_token_without_an_embedding_is_refused_with_both_numbers(tmp_path: Path) -> None:
    config("llama", vocab_size=300).save_pretrained(tmp_path)
    check_token_files(token_files(tmp_path, [5, 299], [3]), tmp_path)
    with pytest.raises(InputError, match=r"the token 300, but the model has embeddings for 300 "):
        check_token_files(token_files(tmp_path, [5], [300, 3]), tmp_path)


def test_cards_longer_than_a_table_of_positions_are_refused(tmp_path: Path) -> None:
    config("gpt2", **SMALL).save_pretrained(tmp_path)
    check_token_files(token_files(tmp_path, [1] * 16), tmp_path)
    with pytest.raises(
        InputError, match=r"17 tokens, more than the 16 .*: lower tokenize.max_length_tokens to 16 "
    ):
        check_token_files(token_files(tmp_path, [1], [1] * 17), tmp_path)


@pytest.mark.parametrize("kind", ["gpt_neo", "opt", "biogpt", "codegen", "gptj"])
def test_each_kind_of_position_table_is_seen(kind: str) -> None:
    sizes = {"vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"rotary_dim": 4} if kind in ("codegen", "gptj") else {}
    sizes |= {"attention_types": [[["global"], 2]]} if kind == "gpt_neo" else {}
    with pytest.raises(InputError, match="17 tokens, more than the 16 positions"):
        check_length(config(kind, max_position_embeddings=16, **sizes), 17, "a row", "cut it")


def test_rotary_positions_beyond_the_training_are_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sizes = {"vocab_size": 9, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    rotary = config("llama", max_position_embeddings=16, **sizes)
    check_length(rotary, 16, "a row", "cut it")
    assert not caplog.messages
    check_length(rotary, 17, "a row", "cut it")
    assert caplog.messages == [
        "a row has 17 tokens, more than the 16 positions of the model, which answers worse beyond "
        "them: cut it"
    ]


def test_a_model_without_positions_reads_rows_of_any_length() -> None:
    assert context_tokens(config("mamba")) == NO_LIMIT
    assert context_tokens(config("gpt2")) == 1024
