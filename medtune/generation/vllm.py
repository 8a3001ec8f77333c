"""Answers many questions with vLLM, for large test sets on a GPU: `evaluate.engine: vllm`.

vLLM gets the same prompts (token ids) and stops at the same tokens as medtune.generation.generate.
Its kernels round differently, so a few greedy answers differ where two tokens are almost equally
likely. This module follows vLLM's documentation of offline inference but was never run with vLLM
itself: its tests replace vLLM with a module that records the calls.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medtune.config.schema import Evaluate
from medtune.generation.answering import Answer
from medtune.modeling.loading import BASE
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.errors import InputError

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # values that vLLM accepts for max_lora_rank


def answer_all(
    encoder: PromptEncoder,
    prompts: Sequence[list[int]],
    params: Evaluate,
    seed: int,
    ends: set[int],
    adapter: Path | None = None,
) -> list[Answer]:
    """Returns the answers of the base model, or of `adapter` on it, to prompts (token ids)."""
    from vllm import LLM, SamplingParams
    from vllm.lora.request import LoRARequest

    lora: dict[str, Any] = {}
    if adapter:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        lora = {"enable_lora": True, "max_lora_rank": _max_lora_rank(config["r"])}
    engine = LLM(model=str(BASE), seed=seed, **lora)
    sampling = SamplingParams(
        temperature=params.temperature,
        top_p=params.top_p,
        repetition_penalty=params.repetition_penalty,
        frequency_penalty=params.frequency_penalty,
        max_tokens=params.max_new_tokens,
        stop_token_ids=sorted(ends),
        seed=seed,
        detokenize=False,
    )
    outputs = engine.generate(
        [{"prompt_token_ids": ids} for ids in prompts],
        sampling,
        lora_request=LoRARequest("adapter", 1, str(adapter)) if adapter else None,
    )
    rows = [list(output.outputs[0].token_ids) for output in outputs]
    return [Answer(encoder.decode(ids), len(ids), ids[-1] in ends) for ids in rows]


def check(params: Evaluate) -> None:
    """Raises InputError if vLLM is not installed."""
    try:
        import vllm  # noqa: F401
    except ImportError:
        raise InputError(
            "evaluate.engine is vllm, which is not installed: pip install vllm on a machine with "
            "a GPU, or set evaluate.engine to medtune"
        ) from None


def _max_lora_rank(rank: int) -> int:
    """Returns the smallest accepted value that an adapter of this rank fits into."""
    for accepted in LORA_RANKS:
        if accepted >= rank:
            return accepted
    raise InputError(
        f"vLLM accepts adapters up to rank {LORA_RANKS[-1]}, but this one has {rank}: "
        "set evaluate.engine to medtune"
    )
