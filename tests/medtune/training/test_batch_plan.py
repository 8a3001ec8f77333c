from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from medtune.config.loading import load_params
from medtune.training.batch_plan import Plan, token_budget, training_order, within_budget

LLAMA = LlamaConfig(
    hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, vocab_size=32_000
)


def budget(
    longest: int = 256, processes: int = 1, config: Any = LLAMA, **changed: Any
) -> int | None:
    params = load_params("train").model_copy(update=changed)
    return token_budget(params, config, longest, processes)


def test_on_a_cpu_passes_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medtune.training.batch_plan.device", lambda: "cpu")
    assert budget() is None
    assert within_budget([[3, 1], [2]], [9] * 4, None) == [[3, 1], [2]]


@pytest.mark.slow
def test_auto_depends_on_the_recipe_and_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medtune.training.batch_plan.device", lambda: "cuda")
    tokens = budget(per_device_train_batch_size=1)
    assert tokens and 1_000 < tokens < 4_000
    recomputed = budget(per_device_train_batch_size=1, gradient_checkpointing=True)
    assert recomputed and recomputed > 4 * tokens
    assert budget(per_device_train_batch_size=64) == 64 * 256  # as many as were asked for
    assert budget(processes=2) is None
    assert budget(neftune_noise_alpha=5.0) is None
    assert budget(tokens_per_pass=77, processes=2) == 77


def test_every_row_comes_once_an_epoch() -> None:
    order = training_order(333, batch_size=4, seed=1, epoch=0)
    assert sorted(row for batch in order for row in batch) == list(range(333))
    assert max(map(len, order)) == 4


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    torch.manual_seed(0)
    first = training_order(333, 4, seed=1, epoch=0)
    torch.manual_seed(9)
    assert training_order(333, 4, seed=1, epoch=0) == first
    assert training_order(333, 4, seed=1, epoch=1) != first
    assert training_order(333, 4, seed=2, epoch=0) != first


@pytest.mark.parametrize("count", [40, 43, 3])
def test_a_plan_holds_every_card_once_an_epoch_in_the_seeds_order(count: int) -> None:
    changed = {"num_train_epochs": 2, "gradient_accumulation_steps": 2}
    params = load_params("train").model_copy(update=changed | {"per_device_train_batch_size": 8})
    expected = []
    for epoch in range(2):
        batches = training_order(count, 8, seed=1, epoch=epoch)
        expected += [batches[n : n + 2] for n in range(0, len(batches), 2)]
    plan = Plan([9] * count, params, seed=1)
    assert list(plan) == expected and len(plan) == len(expected)
    assert plan[1:3] == expected[1:3] and plan[-1] == expected[-1]
    with pytest.raises(IndexError):
        plan[len(plan)]
    whole = Plan([9] * count, params, seed=1, budget=10_000)
    assert list(whole) == [[[card for cards in step for card in cards]] for step in expected]


def test_a_step_keeps_its_cards_in_their_order() -> None:
    lengths = [50, 60, 10, 30, 200]
    for limit in (1, 90, 120, 10_000):
        passes = within_budget([[0, 1, 2], [3, 4]], lengths, limit)
        assert [card for cards in passes for card in cards] == [0, 1, 2, 3, 4]
        for cards in passes:
            assert len(cards) == 1 or sum(lengths[card] for card in cards) <= limit
