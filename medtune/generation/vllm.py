"""Answers by vLLM, for large test sets on a GPU: `evaluate.engine: vllm`.

It reads the same prompts (token ids) and stops at the same tokens as our own loop; its kernels
 round differently, so that now and then a near-tie falls the other way. It was never run
here, where there is no GPU: its calls are those of vLLM's documented offline interface.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medtune.config.schema import Evaluate
from medtune.generation.generate import Answer
from medtune.modeling.loading import BASE
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.errors import InputError

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the sizes that vLLM makes room for


def answer_all(
    encoder: PromptEncoder,
    prompts: Sequence[list[int]],
    params: Evaluate,
    seed: int,
    ends: set[int],
    adapter: Path | None = None,
) -> list[Answer]:
    """The answers to prompts (token ids), in their order, of the base model or with an adapter."""
    try:
        from vllm import LLM, SamplingParams
        from vllm.lora.request import LoRARequest
    except ImportError:
        raise InputError(
            "evaluate.engine is vllm, which is not installed: pip install vllm on a machine with "
            "a GPU, or set evaluate.engine to medtune"
        ) from None
    lora: dict[str, Any] = {}
    if adapter:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        lora = {"enable_lora": True, "max_lora_rank": _room(config["r"])}
    engine = LLM(model=str(BASE), seed=seed, **lora)
    sampling = SamplingParams(
        temperature=params.temperature,
        top_p=params.top_p,
        repetition_penalty=params.repetition_penalty,
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


def _room(rank: int) -> int:
    fitting = [size for size in RANKS if size >= rank]
    if not fitting:
        raise InputError(
            f"vLLM takes adapters up to rank {RANKS[-1]}, this one has {rank}: "
            "set evaluate.engine to medtune"
        )
    return fitting[0]
