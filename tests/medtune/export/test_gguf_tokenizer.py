from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, pre_tokenizers

from medtune.export.gguf_tokenizer import (
    QWEN2_WORDS,
    begins_with_bos,
    pre_tokenizer_name,
    splits_of,
    vocabulary,
)
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from tests.chat_tokenizers import llama32, smollm2, tinyllama

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
BYTES_ALONE = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def encoder(tokenizer: Any) -> PromptEncoder:
    return PromptEncoder(tokenizer, PromptFormat("chat", None))


def with_splits(tokenizer: Any, *steps: Any) -> PromptEncoder:
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(steps))
    return encoder(tokenizer)


@pytest.mark.slow
def test_the_name_is_that_of_the_split_and_not_of_the_model(tmp_path: Path) -> None:
    assert pre_tokenizer_name(encoder(smollm2(tmp_path / "smollm2"))) == "gpt-2"
    assert pre_tokenizer_name(encoder(llama32(tmp_path / "llama32"))) == "llama-bpe"
    other = smollm2(tmp_path / "other")
    digits = pre_tokenizers.Digits(individual_digits=True)
    assert pre_tokenizer_name(with_splits(other, digits, BYTES)) == "smollm"
    words = pre_tokenizers.Split(Regex(QWEN2_WORDS), "isolated")
    assert pre_tokenizer_name(with_splits(other, words, BYTES_ALONE)) == "qwen2"


def test_the_regex_of_qwen_2_is_that_of_transformers() -> None:
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert PRETOKENIZE_REGEX == QWEN2_WORDS


def test_what_llama_cpp_has_no_name_for_is_not_guessed(tmp_path: Path) -> None:
    other = smollm2(tmp_path / "other")
    assert pre_tokenizer_name(encoder(tinyllama(tmp_path / "tinyllama"))) is None
    assert pre_tokenizer_name(with_splits(other, BYTES_ALONE)) is None
    assert pre_tokenizer_name(with_splits(other, pre_tokenizers.Punctuation(), BYTES)) is None


def test_a_step_with_other_settings_is_another_step() -> None:
    spaced = {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}
    assert splits_of(spaced) == ("other",)
    assert splits_of(spaced | {"add_prefix_space": False}) == ("ByteLevel", True)
    words = {"type": "Split", "pattern": {"Regex": " "}, "behavior": "Isolated", "invert": False}
    assert splits_of(words) == ("Split", " ")
    assert splits_of(words | {"behavior": "Removed"}) == ("other",)
    assert splits_of({}) == ("other",)


def test_every_id_has_a_token_and_a_type(tmp_path: Path) -> None:
    tokenizer = smollm2(tmp_path / "smollm2")
    tokenizer.add_tokens(["<think>"])
    size = len(tokenizer) + 2
    tokens, types = vocabulary(tokenizer, size)
    assert len(tokens) == len(types) == len(set(tokens)) == size
    assert tokens[-3:] == ["<think>", f"[PAD{size - 2}]", f"[PAD{size - 1}]"]
    assert [int(each) for each in (types[2], types[30], *types[-3:])] == [3, 1, 4, 5, 5]


def test_a_bos_is_added_where_the_tokenizer_adds_one(tmp_path: Path) -> None:
    assert begins_with_bos(encoder(llama32(tmp_path / "llama32")))
    assert not begins_with_bos(encoder(smollm2(tmp_path / "smollm2")))
