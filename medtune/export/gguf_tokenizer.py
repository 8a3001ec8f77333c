"""Describes a tokenizer to llama.cpp, in the metadata of a GGUF file."""

import json
from collections.abc import Mapping
from typing import Any

from gguf import GGUFWriter, TokenType

from medtune.export.gguf_sentencepiece import BYTES, space_prefix, token_scores
from medtune.modeling.prompts import PromptEncoder

# What splits text into words before the merges of Llama 3; Qwen 2 takes digits one by one.
LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_WORDS = LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}")
# llama.cpp's name for each way to split, as `splits_of` spells it, and for `ignore_merges`.
NAMES = {
    (("ByteLevel", True), False): "gpt-2",
    (("Digits", True, "ByteLevel", True), False): "smollm",
    (("Split", LLAMA3_WORDS, "ByteLevel", False), True): "llama-bpe",
    (("Split", QWEN2_WORDS, "ByteLevel", False), False): "qwen2",
}


def add_tokenizer(writer: GGUFWriter, encoder: PromptEncoder, template: str, size: int) -> None:
    """Adds the vocabulary of `size` tokens, what merges them, special tokens and the template."""
    if name := pre_tokenizer_name(encoder):
        add_byte_level(writer, encoder, name, size)
    else:
        add_sentencepiece(writer, encoder, template, size)
    tokenizer = encoder.tokenizer
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if encoder.end_id != tokenizer.eos_token_id:
        writer.add_eot_token_id(encoder.end_id)
    others = {
        writer.add_bos_token_id: tokenizer.bos_token_id,
        writer.add_unk_token_id: tokenizer.unk_token_id,
        writer.add_pad_token_id: tokenizer.pad_token_id,
    }
    for add, token_id in others.items():
        if token_id is not None:
            add(token_id)
    writer.add_add_bos_token(begins_with_bos(encoder))
    writer.add_chat_template(template)


def add_byte_level(writer: GGUFWriter, encoder: PromptEncoder, name: str, size: int) -> None:
    writer.add_tokenizer_model("gpt2")  # llama.cpp's name for byte-level BPE
    writer.add_tokenizer_pre(name)
    tokens, types = vocabulary(encoder.tokenizer, size)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = backend_of(encoder)["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])


def add_sentencepiece(writer: GGUFWriter, encoder: PromptEncoder, template: str, size: int) -> None:
    scores, prefix = token_scores(backend_of(encoder)), space_prefix(encoder, template)
    assert scores is not None and prefix is not None
    tokens, types = vocabulary(encoder.tokenizer, size)
    kinds = dict.fromkeys(BYTES, TokenType.BYTE) | {encoder.tokenizer.unk_token: TokenType.UNKNOWN}
    lowest = min(scores.values()) - 1  # no merge makes the token
    writer.add_tokenizer_model("llama")  # llama.cpp's name for SentencePiece
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([scores.get(token, lowest) for token in tokens])
    writer.add_token_types([kinds.get(*pair) for pair in zip(tokens, types, strict=True)])
    writer.add_add_space_prefix(prefix)


def is_describable(encoder: PromptEncoder, template: str) -> bool:
    """Whether llama.cpp can make the tokens of the training, as far as medtune can tell."""
    if pre_tokenizer_name(encoder) is not None:
        return True
    scored = token_scores(backend_of(encoder)) is not None
    return scored and space_prefix(encoder, template) is not None


def backend_of(encoder: PromptEncoder) -> dict[str, Any]:
    return json.loads(encoder.tokenizer.backend_tokenizer.to_str())


def pre_tokenizer_name(encoder: PromptEncoder) -> str | None:
    """Returns llama.cpp's name for how a byte-level tokenizer splits text into words.

    The name follows from what the tokenizer does, so that llama.cpp makes the tokens of the
    training, even where the published model has another name. None: there is no such name.
    """
    backend = backend_of(encoder)
    model, normalizer = backend["model"], backend["normalizer"] or {"type": "NFC"}
    if model["type"] != "BPE" or normalizer["type"] != "NFC" or model.get("byte_fallback"):
        return None
    return NAMES.get((splits_of(backend["pre_tokenizer"] or {}), bool(model.get("ignore_merges"))))


def splits_of(pre_tokenizer: Mapping[str, Any]) -> tuple[str | bool, ...]:
    """Returns the steps of a pre-tokenizer, each with what it depends on."""
    match pre_tokenizer:
        case {"type": "Sequence", "pretokenizers": steps}:
            return tuple(part for step in steps for part in splits_of(step))
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": use_regex}:
            return ("ByteLevel", use_regex)
        case {"type": "Digits", "individual_digits": individual}:
            return ("Digits", individual)
        case {
            "type": "Split",
            "pattern": {"Regex": regex},
            "behavior": "Isolated",
            "invert": False,
        }:
            return ("Split", regex)
    return ("other",)


def vocabulary(tokenizer: Any, size: int) -> tuple[list[str], list[TokenType]]:
    """Returns each token and its type; ids that the tokenizer does not have are unused."""
    known = {token_id: token for token, token_id in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, types = [], []
    for token_id in range(size):
        tokens.append(known.get(token_id, f"[PAD{token_id}]"))
        if token_id not in known:
            types.append(TokenType.UNUSED)
        elif token_id not in added:
            types.append(TokenType.NORMAL)
        else:
            special = added[token_id].special
            types.append(TokenType.CONTROL if special else TokenType.USER_DEFINED)
    return tokens, types


def begins_with_bos(encoder: PromptEncoder) -> bool:
    """Whether the tokenizer puts a BOS before every text, as llama.cpp then does too."""
    return encoder.tokenizer("")["input_ids"][:1] == [encoder.tokenizer.bos_token_id]
