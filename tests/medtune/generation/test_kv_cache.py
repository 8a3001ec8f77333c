"""What the cache gives the decoder, and which slot holds which row once rows have left."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medtune.generation import kv_cache
from medtune.generation.kv_cache import SharedPrefixCache
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.token_losses import summed, summed_losses
from tests.tiny_models import random_model

PROMPTS = [[9, 8, 1, 2, 3], [9, 8, 4], [9, 8, 5, 6]]


@pytest.fixture
def cache() -> SharedPrefixCache:
    text = SimpleNamespace(num_hidden_layers=1)
    model: Any = SimpleNamespace(
        config=SimpleNamespace(get_text_config=lambda: text), device=torch.device("cpu")
    )
    return SharedPrefixCache(model, PROMPTS, max_new_tokens=2)


def states(numbers: list[int]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[None, None, :, None]


def test_prefill_takes_the_prefix_once_and_pads_the_suffixes_on_the_left(
    cache: SharedPrefixCache,
) -> None:
    (inputs,) = cache.prefill_inputs()
    assert inputs["input_ids"].tolist() == [[9, 8, 1, 2, 3, 4, 5, 6]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 2, 3]]
    mask = inputs["attention_mask"][:, 0].int().tolist()
    assert mask[0] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert mask[1][2] == [1, 1, 0, 0, 1]


def test_small_groups_of_prompts_fill_the_slots_one_after_the_other(
    cache: SharedPrefixCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_cache, "TOKENS_AT_ONCE", 11)
    layer = cache.layers[0]
    sizes = []
    for inputs in cache.prefill_inputs():
        flat = inputs["input_ids"][:, None, :, None].float()
        layer.update(flat, flat)
        sizes.append(flat.shape[2])
    assert sizes == [2 + 3 + 1, 2 + 2]
    rows = [[9, 8, 1, 2, 3], [9, 8, 0, 0, 4], [9, 8, 0, 5, 6]]
    assert layer.buffers[0][:, 0, :5, 0].tolist() == rows


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [[], [9, 8]])
def test_references_cost_no_pass_and_change_no_logits(
    prefix: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_cache, "TOKENS_AT_ONCE", 30)  # two groups
    model = random_model("llama")
    assert enable_prefix_sharing(model)
    prompts = [[*prefix, *range(n, n + 2 + n % 3)] for n in range(60, 66)]
    references = [[70 + n, *range(30, 30 + n)] if n != 2 else [] for n in range(6)]

    def prefilled(texts: list[list[int]]) -> tuple[SharedPrefixCache, torch.Tensor]:
        cache = SharedPrefixCache(model, prompts, 2, texts)
        with torch.inference_mode():
            found = torch.cat([cache.next_logits(inputs) for inputs in cache.prefill_inputs()])
            more = cache.next_logits(cache.next_inputs(found.argmax(dim=-1)))
        return cache, torch.cat([found, more])

    cache, logits = prefilled(references)
    torch.testing.assert_close(logits, prefilled([])[1])
    rows = [[*ids, *more] for ids, more in zip(prompts, references, strict=True)]
    expected = summed_losses(model, rows, [len(ids) for ids in prompts])
    found = [summed(losses) for losses in cache.reference_losses]
    assert [count for _, count in found] == [len(ids) for ids in references]
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in expected], rel=1e-4)


def test_the_last_rows_move_into_the_slots_of_rows_that_leave(cache: SharedPrefixCache) -> None:
    layer = cache.layers[0]
    list(cache.prefill_inputs())
    flat = states([90, 80, 1, 2, 3, 4, 5, 6])
    layer.update(flat, flat)
    assert cache.keep([1, 2]) == [2, 1]
    inputs = cache.next_inputs(torch.tensor([70, 71]))
    assert inputs["position_ids"].tolist() == [[4], [3]]
    assert inputs["attention_mask"][:, 0, 0].int().tolist() == [
        [1, 1, 0, 1, 1, 1],
        [1, 1, 0, 0, 1, 1],
    ]
    new = torch.tensor([70.0, 71.0])[:, None, None, None]
    cache.group = slice(0, 0)  # as next_logits does
    keys, values = layer.update(new, new)
    assert keys[:, 0, :, 0].tolist() == [[90, 80, 0, 5, 6, 70], [90, 80, 0, 0, 4, 71]]
    assert torch.equal(keys, values)
