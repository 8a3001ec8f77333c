"""The steps that a CUDA graph records, run on a CPU."""

from typing import Any

import pytest
import torch

from medtune.config.loading import load_params
from medtune.generation.generate import generate
from medtune.generation.graphs import GreedySteps, greedy_answers
from medtune.generation.kv_cache import SharedPrefixCache
from medtune.modeling.agreement import enable_prefix_sharing
from tests.tiny_models import random_model

PROMPTS = [[257, 5, *range(n, n + 2 + n % 4)] for n in range(60, 71)]


def answers(
    model: Any, new: int, ends: set[int], penalty: float, on_token: Any = lambda: None
) -> list[list[int]]:
    cache = SharedPrefixCache(model, PROMPTS, new)
    logits = [cache.next_logits(inputs) for inputs in cache.prefill_inputs()]
    tokens = torch.cat(logits).argmax(dim=-1)
    return greedy_answers(GreedySteps(model, cache, tokens, ends, penalty), new, on_token)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
@pytest.mark.parametrize("new", [1, 2, 8, 30])
@torch.inference_mode()
def test_answers_equal_those_of_single_steps(new: int, penalty: float) -> None:
    model = random_model("llama")
    assert enable_prefix_sharing(model)
    params = load_params("evaluate").model_copy(
        update={"max_new_tokens": new, "frequency_penalty": penalty}
    )
    free = generate(model, PROMPTS, params, set())
    assert answers(model, new, set(), penalty) == free
    ends = {ids[len(ids) // 2] for ids in free[::2]}  # some end early, and others run on
    expected = generate(model, PROMPTS, params, ends)
    assert new == 1 or min(map(len, expected)) < new
    steps: list[int] = []
    assert answers(model, new, ends, penalty, lambda: steps.append(1)) == expected
    assert len(steps) >= max(map(len, expected))
