"""What llama.cpp has to know of a SentencePiece tokenizer such as Llama 2's or TinyLlama's.

llama.cpp merges the two neighbours that make the token of the highest score, the leftmost first;
tokenizers merges by a list of pairs. The functions here find out whether both do the same.
"""

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from tokenizers import normalizers

from medtune.export.template_pieces import rendered
from medtune.modeling.prompts import PromptEncoder

BLANK = "▁"  # stands for a space
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # the tokens of characters that have none
TURNS = [
    {"role": "user", "content": "What is gout?"},
    {"role": "assistant", "content": "A joint disease."},
    {"role": "user", "content": "Is it hereditary?"},
]


def token_scores(backend: Mapping[str, Any]) -> dict[str, float] | None:
    """Returns the score of each token that a merge makes, or None if scores cannot replace merges.

    They can if every pair of tokens that makes a token is a merge, and if no other merge comes
    between those of one token. Runs of a character are an exception: Llama 2's merges of spaces
    are in another order, but both programs let a run grow from the left.
    """
    model = backend["model"]
    if model["type"] != "BPE" or not model.get("byte_fallback") or not marks_spaces(backend):
        return None
    vocabulary: dict[str, int] = model["vocab"]
    ranks: dict[str, list[int]] = {}
    for rank, (left, right) in enumerate(model["merges"]):
        ranks.setdefault(left + right, []).append(rank)
    added = {token["content"] for token in backend["added_tokens"]}
    exact = (
        all(byte in vocabulary for byte in BYTES)
        and all(
            pairs_of(token, vocabulary) == len(ranks.get(token, ()))
            for token in vocabulary
            if token not in added
        )
        and all(in_a_row(own) or grows_from_left(token, ranks) for token, own in ranks.items())
    )
    return {token: -float(own[0]) for token, own in ranks.items()} if exact else None


def marks_spaces(backend: Mapping[str, Any]) -> bool:
    """Whether all that happens to a text before the merges is that spaces become `BLANK`."""
    match backend["normalizer"], backend["pre_tokenizer"]:
        case None, {"type": "Metaspace", "replacement": "▁", "split": False}:
            return True
        case {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, last]}, None:
            return is_replacement(last)
        case normalizer, None:
            return is_replacement(normalizer)
    return False


def is_replacement(step: Any) -> bool:
    return step == {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}


def pairs_of(token: str, vocabulary: Mapping[str, int]) -> int:
    """Returns how many pairs of tokens make the token."""
    cuts = range(1, len(token))
    return sum(token[:cut] in vocabulary and token[cut:] in vocabulary for cut in cuts)


def in_a_row(ranks: list[int]) -> bool:
    return all(after == before + 1 for before, after in pairwise(ranks))


def grows_from_left(token: str, ranks: Mapping[str, list[int]]) -> bool:
    """Whether the token is a run of a character that grows before another run begins."""
    pair = 2 * token[0]
    return token == len(token) * token[0] and ranks[token][-1] < ranks.get(pair, [0])[0]


def space_prefix(encoder: PromptEncoder, template: str) -> bool | None:
    """Returns whether llama.cpp has to put a space before a text, so that prompts are as trained.

    It does so at the beginning and behind every control token, or not at all. None: neither gives
    the prompts of the training.
    """
    to_blanks = normalizers.Replace(" ", BLANK)
    as_llama_cpp = copy.deepcopy(encoder.tokenizer.backend_tokenizer)
    as_llama_cpp.pre_tokenizer = None
    for prefix in (True, False):
        steps = [normalizers.Prepend(BLANK), to_blanks] if prefix else [to_blanks]
        as_llama_cpp.normalizer = normalizers.Sequence(steps)
        conversations = (TURNS[:1], TURNS)
        if all(
            as_llama_cpp.encode(rendered(encoder, template, turns), add_special_tokens=False).ids
            == encoder.prompt_ids(turns)
            for turns in conversations
        ):
            return prefix
    return None
