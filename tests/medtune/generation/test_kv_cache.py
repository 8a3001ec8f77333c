"""What the cache gives the decoder, and which slot holds which row once rows have left."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medtune.generation import kv_cache
from medtune.generation.kv_cache import SharedPrefixCache

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
    assert inputs["input_ids"].tolist() == [[9, 8, 1, 2, 3, 0, 0, 4, 0, 5, 6]]
    assert inputs["position_ids"][0, [2, 3, 4, 7, 9, 10]].tolist() == [2, 3, 4, 2, 2, 3]
    mask = inputs["attention_mask"][:, 0].int().tolist()
    assert mask[0] == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert mask[1][2] == [1, 1, 0, 0, 1]
    assert cache.last_places(inputs).tolist() == [4, 7, 10]


def test_small_groups_of_prompts_need_less_padding(
    cache: SharedPrefixCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_cache, "PROMPTS_AT_ONCE", 2)
    layer = cache.layers[0]
    sizes = []
    for inputs in cache.prefill_inputs():
        flat = inputs["input_ids"][:, None, :, None].float()
        layer.update(flat, flat)
        sizes.append(flat.shape[2])
    assert sizes == [2 + 2 * 3, 2 + 1 * 2]
    assert layer.buffers[0][2, 0, :5, 0].tolist() == [9, 8, 0, 5, 6]
    assert cache.last_places(inputs).tolist() == [3]


def test_the_last_rows_move_into_the_slots_of_rows_that_leave(cache: SharedPrefixCache) -> None:
    layer = cache.layers[0]
    list(cache.prefill_inputs())
    flat = states([90, 80, 1, 2, 3, 0, 0, 4, 0, 5, 6])
    layer.update(flat, flat)
    assert cache.keep([1, 2]) == [2, 1]
    inputs = cache.next_inputs(torch.tensor([70, 71]))
    assert inputs["position_ids"].tolist() == [[4], [3]]
    assert inputs["attention_mask"][:, 0, 0].int().tolist() == [
        [1, 1, 0, 1, 1, 1],
        [1, 1, 0, 0, 1, 1],
    ]
    new = torch.tensor([70.0, 71.0])[:, None, None, None]
    keys, values = layer.update(new, new)
    assert keys[:, 0, :, 0].tolist() == [[90, 80, 0, 5, 6, 70], [90, 80, 0, 0, 4, 71]]
    assert torch.equal(keys, values)
