"""Answers many questions with OpenVINO GenAI, for a CPU: `evaluate.engine: openvino`.

It gets the same prompts (token ids) and stops at the same tokens as medtune.generation.generate,
and computes in fp32: greedy answers are the same but where two tokens are almost equally likely.
The model is converted first, which takes about as long as answering a hundred questions.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from medtune.config.schema import Evaluate
from medtune.generation.answering import Answer
from medtune.generation.openvino_conversion import convert
from medtune.modeling.adapters import load_adapter
from medtune.modeling.loading import load_base
from medtune.modeling.prompts import PromptEncoder
from medtune.runtime.errors import InputError, in_one_line
from medtune.runtime.imports import without

logger = logging.getLogger("medtune")

PRECISION = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
TOKENS_PER_PASS = 2048
CHECKED_PROMPTS = 4
TOLERANCE = 1e-2  # of a logit
Ids = Sequence[list[int]]


def answer_all(
    encoder: PromptEncoder,
    prompts: Ids,
    params: Evaluate,
    seed: int,
    ends: set[int],
    adapter: Path | None = None,
) -> list[Answer]:
    """Returns the answers of the base model, or of `adapter` on it, to prompts (token ids)."""
    check_installed()
    if params.frequency_penalty and params.repetition_penalty != 1:
        raise InputError(
            "evaluate.engine openvino takes one of evaluate.frequency_penalty and "
            "evaluate.repetition_penalty, got both: set one of them to 0.0 or 1.0, or the engine "
            "to medtune"
        )
    logger.info("converting the model for OpenVINO")
    engine = load_engine(prompts, params, ends, adapter)
    logger.info(f"answering {len(prompts)} questions")
    rows = generate(engine, prompts, sampling(params, seed, ends))
    return [Answer(encoder.decode(ids), len(ids), ids[-1] in ends) for ids in rows]


def check_installed() -> None:
    try:
        with without("openvino_telemetry"):  # it would tell the makers of OpenVINO of conversions
            import openvino_genai  # noqa: F401
    except ImportError:
        raise InputError(
            "evaluate.engine is openvino, which is not installed: pip install openvino-genai, or "
            "set evaluate.engine to medtune"
        ) from None


def load_engine(prompts: Ids, params: Evaluate, ends: set[int], adapter: Path | None = None) -> Any:
    """Returns a pipeline of OpenVINO GenAI for these prompts.

    Raises InputError if the model cannot be converted, or then begins the first answers otherwise.
    """
    from openvino_genai import ContinuousBatchingPipeline

    model = load_base("fp32").cpu()
    if adapter:
        model = load_adapter(model, adapter)
    checked = prompts[:CHECKED_PROMPTS]
    with torch.inference_mode():
        logits = [model(torch.tensor([ids])).logits[0, -1] for ids in checked]
    options = PRECISION | {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    kind, longest = model.config.model_type, max(map(len, prompts)) + params.max_new_tokens
    with TemporaryDirectory() as folder:
        try:
            convert(model, Path(folder), bool(params.frequency_penalty), longest)
            del model  # OpenVINO has its own copy of the weights
            engine = ContinuousBatchingPipeline(folder, _scheduler(params), "CPU", options)
        except Exception as error:  # of the tracer, the converter or the compiler
            raise _refusal(kind, in_one_line(error)) from None
    _compare(kind, logits, generate(engine, checked, _greedy(1, ends)))
    return engine


def _scheduler(params: Evaluate) -> Any:
    from openvino_genai import SchedulerConfig

    scheduler = SchedulerConfig()
    scheduler.max_num_seqs = params.batch_size
    scheduler.max_num_batched_tokens = max(TOKENS_PER_PASS, params.batch_size)
    scheduler.enable_prefix_caching = True  # reads a beginning that prompts share once
    return scheduler


def _compare(kind: str, logits: list[torch.Tensor], rows: list[list[int]]) -> None:
    for row, (token,) in zip(logits, rows, strict=True):
        if row[token] < row.max() - TOLERANCE:
            raise _refusal(kind, "its answers begin with other tokens")


def _refusal(kind: str, reason: str) -> InputError:
    return InputError(
        f"OpenVINO cannot run a model of type {kind} ({reason}): set evaluate.engine to medtune"
    )


def _greedy(tokens: int, ends: set[int]) -> Any:
    from openvino_genai import GenerationConfig

    config = GenerationConfig()
    config.max_new_tokens, config.stop_token_ids, config.eos_token_id = tokens, ends, min(ends)
    return config


def sampling(params: Evaluate, seed: int, ends: set[int]) -> Any:
    config = _greedy(params.max_new_tokens, ends)
    config.repetition_penalty = params.repetition_penalty
    config.frequency_penalty = params.frequency_penalty
    if params.temperature > 0:
        config.do_sample, config.rng_seed = True, seed
        config.temperature, config.top_p = params.temperature, params.top_p
    return config


def generate(engine: Any, prompts: Ids, config: Any) -> list[list[int]]:
    """Returns each prompt's new ids, up to and including the one that ended it."""
    from openvino import Tensor

    tensors = [Tensor(torch.tensor([ids]).numpy()) for ids in prompts]
    results = engine.generate(tensors, [config] * len(tensors))
    return [list(result.m_generation_ids[0]) for result in results]
