"""Answers many questions with OpenVINO GenAI, for a CPU: `evaluate.engine: openvino`.

It gets the same prompts (token ids) and stops at the same tokens as medtune.generation.generate,
and computes in fp32: greedy answers differ only where two tokens are almost equally likely.
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
from medtune.modeling.loading import device, load_base
from medtune.modeling.prompts import PromptEncoder
from medtune.modeling.token_files import row_lengths
from medtune.runtime.errors import InputError, in_one_line
from medtune.runtime.imports import without

logger = logging.getLogger("medtune")

PRECISION = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
TOKENS_PER_PASS = 2048
CHECKED_PROMPTS = 4
CHECKED_TOKENS = 8  # of each of their answers
TOLERANCE = 1e-2  # of a logit
Prompts = Sequence[list[int]]


def answer_all(
    encoder: PromptEncoder,
    prompts: Prompts,
    params: Evaluate,
    seed: int,
    ends: set[int],
    adapter: Path | None = None,
) -> list[Answer]:
    """Returns the answers of the base model, or of `adapter` on it, to prompts (token ids)."""
    check(params)
    if not prompts:
        return []
    logger.info("converting the model for OpenVINO")
    engine = load_engine(prompts, params, adapter)
    logger.info(f"answering {len(prompts)} questions")
    configs = [sampling(params, seed + number, ends) for number in range(len(prompts))]
    rows = generate(engine, prompts, configs)
    return [Answer(encoder.decode(ids), len(ids), ids[-1] in ends) for ids in rows]


def check(params: Evaluate) -> None:
    """Raises InputError if OpenVINO is not installed, or cannot answer with these parameters."""
    try:
        with without("openvino_telemetry"):  # it would tell the makers of OpenVINO of conversions
            import openvino_genai  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"evaluate.engine is openvino, which is not installed ({in_one_line(error)}): "
            "pip install openvino-genai, or set evaluate.engine to medtune"
        ) from None
    if device() != "cpu":
        raise InputError(
            "evaluate.engine openvino computes on the CPU, but this machine has a GPU: "
            "set evaluate.engine to medtune or vllm"
        )
    if params.frequency_penalty and params.repetition_penalty != 1:
        raise InputError(
            "evaluate.engine openvino takes one penalty, got two: set evaluate.frequency_penalty "
            "to 0.0 or evaluate.repetition_penalty to 1.0, or evaluate.engine to medtune"
        )


def load_engine(prompts: Prompts, params: Evaluate, adapter: Path | None = None) -> Any:
    """Returns a pipeline of OpenVINO GenAI for these prompts.

    Raises InputError if the model cannot be converted, or if the converted model begins an answer
    with other tokens.
    """
    from openvino_genai import ContinuousBatchingPipeline

    model = load_base("fp32")
    if adapter:
        model = load_adapter(model, adapter)
    model_type, lengths = model.config.model_type, row_lengths(prompts)
    tokens = max(lengths) + params.max_new_tokens
    options = PRECISION | {"INFERENCE_NUM_THREADS": torch.get_num_threads()}
    with TemporaryDirectory() as folder:
        try:
            convert(model, Path(folder), bool(params.frequency_penalty), tokens)
            engine = ContinuousBatchingPipeline(folder, _scheduler(params), "CPU", options)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # of the tracer, the converter or the compiler
            raise _refusal(model_type, in_one_line(error)) from None
    checked = [prompts[lengths.index(max(lengths))], *prompts[:CHECKED_PROMPTS]]
    if not _begins_alike(model, engine, checked):
        raise _refusal(model_type, "its answers begin with other tokens")
    return engine


def _begins_alike(model: Any, engine: Any, prompts: Prompts) -> bool:
    """Whether the tokens that OpenVINO chooses are the model's likeliest, or almost."""
    configs = [greedy(CHECKED_TOKENS, set())] * len(prompts)
    for prompt, answer in zip(prompts, generate(engine, prompts, configs), strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer[:-1]])).logits[0, len(prompt) - 1 :]
        chosen = logits.gather(1, torch.tensor(answer)[:, None])[:, 0]
        if not (chosen >= logits.amax(1) - TOLERANCE).all():  # false for NaN, too
            return False
    return True


def _scheduler(params: Evaluate) -> Any:
    from openvino_genai import SchedulerConfig

    scheduler = SchedulerConfig()
    scheduler.max_num_seqs = params.batch_size
    scheduler.max_num_batched_tokens = max(TOKENS_PER_PASS, params.batch_size)
    scheduler.enable_prefix_caching = True  # reads a beginning that prompts share once
    return scheduler


def _refusal(model_type: str, reason: str) -> InputError:
    return InputError(
        f"OpenVINO cannot run a model of type {model_type} ({reason}): "
        "set evaluate.engine to medtune"
    )


def greedy(tokens: int, ends: set[int]) -> Any:
    """Returns how to answer with the likeliest tokens, at most `tokens`, up to one of `ends`."""
    from openvino_genai import GenerationConfig

    config = GenerationConfig()
    config.max_new_tokens, config.ignore_eos = tokens, not ends
    config.stop_token_ids = ends or {0}
    config.eos_token_id = min(config.stop_token_ids)
    return config


def sampling(params: Evaluate, seed: int, ends: set[int]) -> Any:
    config = greedy(params.max_new_tokens, ends)
    config.repetition_penalty = params.repetition_penalty
    config.frequency_penalty = params.frequency_penalty
    if params.temperature > 0:
        config.do_sample, config.rng_seed = True, seed
        config.temperature, config.top_p = params.temperature, params.top_p
    return config


def generate(engine: Any, prompts: Prompts, configs: Sequence[Any]) -> list[list[int]]:
    """Returns each prompt's new ids, up to and including the one that ended it."""
    from openvino import Tensor
    from openvino_genai import GenerationFinishReason

    tensors = [Tensor(torch.tensor([ids]).numpy()) for ids in prompts]
    results = engine.generate(tensors, configs)
    if any(GenerationFinishReason.NONE in result.finish_reasons for result in results):
        raise InputError("OpenVINO ran out of memory for its cache: lower evaluate.batch_size")
    return [list(result.m_generation_ids[0]) for result in results]
