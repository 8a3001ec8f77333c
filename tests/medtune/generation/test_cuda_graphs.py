"""The steps that a CUDA graph records, run on a CPU."""

from typing import Any

import pytest
import torch

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.generation.cuda_graphs import DecodingSteps, decoded_answers
from medtune.generation.generate import generate
from medtune.generation.kv_cache import SharedPrefixCache
from medtune.generation.sampling import Sampler
from medtune.modeling.logit_checks import enable_prefix_sharing
from tests.tiny_models import random_model

pytestmark = pytest.mark.slow

PROMPTS = [[257, 5, *range(n, n + 2 + n % 4)] for n in range(60, 71)]


GREEDY = {"temperature": 0.0, "repetition_penalty": 1.0, "frequency_penalty": 0.0, "top_p": 1.0}
SETTINGS: list[dict[str, float]] = [
    {},
    {"frequency_penalty": 0.5},
    {"repetition_penalty": 1.3, "temperature": 0.9, "top_p": 0.8},
]


def answers(
    model: Any, params: Evaluate, ends: set[int], on_token: Any = lambda: None
) -> list[list[int]]:
    cache = SharedPrefixCache(model, PROMPTS, params.max_new_tokens)
    sampler = Sampler(PROMPTS, params, range(len(PROMPTS)), "cpu")
    logits = [cache.next_logits(inputs) for inputs in cache.prefill_inputs()]
    steps = DecodingSteps(model, cache, sampler(torch.cat(logits)), ends, sampler)
    return decoded_answers(steps, params.max_new_tokens, on_token)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("new", [1, 2, 8, 30])
@torch.inference_mode()
def test_answers_equal_those_of_single_steps(new: int, settings: dict[str, float]) -> None:
    model = random_model("llama")
    assert enable_prefix_sharing(model)
    params = load_params("evaluate").model_copy(update=GREEDY | settings | {"max_new_tokens": new})
    free = generate(model, PROMPTS, params, set(), range(len(PROMPTS)))
    assert answers(model, params, set()) == free
    ends = {ids[len(ids) // 2] for ids in free[::2]}  # some end early, and others run on
    expected = generate(model, PROMPTS, params, ends, range(len(PROMPTS)))
    assert new == 1 or min(map(len, expected)) < new
    steps: list[int] = []
    assert answers(model, params, ends, lambda: steps.append(1)) == expected
    assert len(steps) >= max(map(len, expected))
