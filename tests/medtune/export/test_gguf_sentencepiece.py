import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medtune.export.gguf_sentencepiece import space_prefix, token_scores
from medtune.export.gguf_tokenizer import is_describable
from medtune.modeling.portable_template import portable_template
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from tests.chat_tokenizers import TINYLLAMA_TEMPLATE, sentencepiece, smollm2, tinyllama

BYTES = {f"<0x{byte:02X}>": byte for byte in range(256)}
TO_BLANKS = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}


def backend(merges: list[str], **changes: Any) -> dict[str, Any]:
    """A tokenizer file with the characters and results of merges as its vocabulary."""
    pairs = [merge.split() for merge in merges]
    pieces = dict.fromkeys([*"".join(merges).replace(" ", ""), *map("".join, pairs)])
    vocabulary = BYTES | {piece: 256 + number for number, piece in enumerate(pieces)}
    model = {"type": "BPE", "byte_fallback": True, "vocab": vocabulary, "merges": pairs}
    steps = {"normalizer": TO_BLANKS, "pre_tokenizer": None, "added_tokens": []}
    return {"model": model} | steps | changes


def test_earlier_merges_have_higher_scores() -> None:
    merges = ["b c", "a b", "ab c", "a bc"]
    assert token_scores(backend(merges)) == {"bc": 0, "ab": -1, "abc": -2}


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": None},
        {"normalizer": {"type": "NFKC"}},
        {"normalizer": None, "pre_tokenizer": METASPACE | {"split": True}},
        {"pre_tokenizer": METASPACE},
    ],
    ids=["nothing", "NFKC", "words", "twice"],
)
def test_other_steps_before_the_merges_are_not_described(changes: dict[str, Any]) -> None:
    assert token_scores(backend(["a b"], normalizer=None, pre_tokenizer=METASPACE)) is not None
    assert token_scores(backend(["a b"], **changes)) is None


def test_a_pair_that_only_llama_cpp_would_merge_is_not_described() -> None:
    assert token_scores(backend(["b c", "a b", "ab c"])) is None


def test_a_control_token_is_found_before_any_merge() -> None:
    made = backend(["b c", "a b"], added_tokens=[{"content": "abc"}])
    made["model"]["vocab"]["abc"] = 900
    assert token_scores(made) == {"bc": 0, "ab": -1}


def test_merges_of_two_tokens_in_turn_have_no_scores() -> None:
    assert token_scores(backend(["b c", "a b", "ab c", "c d", "a bc"])) is None


def test_runs_that_grow_from_the_left_may_be_in_any_order() -> None:
    in_turn = ["a aa", "aa aa", "aa a", "aaa a", "a aaa", "a a"]
    assert token_scores(backend(in_turn)) == {"aaa": 0, "aaaa": -1, "aa": -5}
    assert token_scores(backend(["a a", *in_turn[:-1]])) is None


def test_characters_without_bytes_are_not_described() -> None:
    assert token_scores(backend(["a b"])) is not None
    without = backend(["a b"])
    del without["model"]["vocab"]["<0x0A>"]
    assert token_scores(without) is None
    without["model"] |= {"vocab": backend(["a b"])["model"]["vocab"], "byte_fallback": False}
    assert token_scores(without) is None


def legacy(folder: Path) -> Any:
    return sentencepiece(folder, TINYLLAMA_TEMPLATE, legacy=True)


def prepended(folder: Path) -> Any:
    return tinyllama(folder, "PreTrainedTokenizerFast")


@pytest.mark.parametrize(
    ("family", "prefix"), [(tinyllama, False), (legacy, True), (prepended, True)]
)
@pytest.mark.parametrize("style", ["chat", "question_answer"])
def test_a_space_comes_before_a_text_where_the_training_had_one(
    family: Callable[[Path], Any], prefix: bool, style: str, tmp_path: Path
) -> None:
    made = PromptEncoder(family(tmp_path / "tokenizer"), PromptFormat(style, "Be brief."))
    template = portable_template(made)
    assert space_prefix(made, template) is prefix
    assert is_describable(made, template)


def test_a_template_that_gives_other_prompts_is_not_described(tmp_path: Path) -> None:
    made = PromptEncoder(tinyllama(tmp_path / "tokenizer"), PromptFormat("chat", None))
    assert space_prefix(made, "{{ messages[-1]['content'] }}") is None
    assert not is_describable(made, "{{ messages[-1]['content'] }}")


def test_a_byte_level_tokenizer_has_no_scores(tmp_path: Path) -> None:
    tokenizer = smollm2(tmp_path / "tokenizer")
    assert token_scores(json.loads(tokenizer.backend_tokenizer.to_str())) is None
