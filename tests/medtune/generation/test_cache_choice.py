"""Which cache a model answers with is decided by the logits that it gives."""

from typing import Any

import pytest
import torch

from medtune.config.loading import load_params
from medtune.generation.cache_choice import NoCache, make_cache
from medtune.generation.generate import generate
from medtune.generation.kv_cache import SharedPrefixCache
from medtune.generation.padded_cache import PaddedCache
from tests.tiny_models import random_model

PROMPTS = [[9, 8, *range(n, n + 1 + n % 4)] for n in range(60, 66)]
PARAMS = load_params("evaluate").model_copy(update={"max_new_tokens": 6})


def model_with(attention: str) -> Any:
    model = random_model("llama")
    model.set_attn_implementation(attention)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "kind"), [("sdpa", SharedPrefixCache), ("eager", PaddedCache)]
)
def test_the_fastest_cache_that_is_right_is_taken(attention: str, kind: type) -> None:
    assert type(make_cache(model_with(attention), PROMPTS, 6)) is kind


@pytest.mark.slow
def test_a_model_whose_cache_is_wrong_answers_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {ids[2] for ids in generate(model_with("sdpa"), PROMPTS, PARAMS, {-1})[::2]}
    expected = generate(model_with("sdpa"), PROMPTS, PARAMS, ends)
    assert len({len(ids) for ids in expected}) > 1
    right = PaddedCache.next_logits

    def wrong(cache: PaddedCache, inputs: Any) -> torch.Tensor:
        return right(cache, inputs).flip(0)  # each row gets another's

    monkeypatch.setattr(PaddedCache, "next_logits", wrong)
    model = model_with("eager")
    assert type(make_cache(model, PROMPTS, 6)) is NoCache
    assert generate(model, PROMPTS, PARAMS, ends) == expected


def test_rows_without_a_cache_are_padded_on_the_right_and_leave_in_order() -> None:
    cache = NoCache(None, [[1, 2, 3], [4], [5, 6]], 2)
    assert cache.keep([0, 2]) == [0, 2]
    inputs = cache.next_inputs(torch.tensor([7, 8]))
    assert inputs["ids"].tolist() == [[1, 2, 3, 7], [5, 6, 8, 0]]
    assert inputs["lengths"].tolist() == [4, 3]
