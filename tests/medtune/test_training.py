from pathlib import Path
from typing import Any

import pytest
import torch

from medtune.adapters import add_adapter
from medtune.errors import InputError
from medtune.models import load_base
from medtune.params import Train, load_params
from medtune.training import Point, mean_loss, plan_steps, train

ROWS = {
    "input_ids": [[1, 10 + n % 5, *range(40, 44 + n % 7), 2] for n in range(40)],
    "loss_start": [2] * 40,
}
PARAMS: Train = load_params("train").model_copy(
    update={"num_train_epochs": 2, "logging_steps": 5, "eval_steps": 0.5, "lr": 5e-3}
)


def run(base_folder: Path, seed: int = 1, **changed: Any) -> tuple[Any, list[Point]]:
    params = PARAMS.model_copy(update=changed)
    model = add_adapter(load_base(params.precision, params.quantization, base_folder), params, seed)
    return model, list(train(model, ROWS, ROWS, params, seed, pad_id=0))


def weights(model: Any) -> torch.Tensor:
    return torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])


def test_the_loss_falls_and_the_curves_have_their_points(base_folder: Path) -> None:
    _, points = run(base_folder)
    training = [point for point in points if point.curve == "train"]
    validation = [point for point in points if point.curve == "validation"]
    assert [point.step for point in training] == [5, 10]
    assert [point.step for point in validation] == [5, 10]
    assert training[-1].epoch == 2
    assert validation[-1].loss < validation[0].loss < training[0].loss


def test_two_runs_give_the_same_adapter_and_another_seed_another(base_folder: Path) -> None:
    first, points = run(base_folder, lora_dropout=0.1, neftune_noise_alpha=5.0)
    again, same = run(base_folder, lora_dropout=0.1, neftune_noise_alpha=5.0)
    assert torch.equal(weights(first), weights(again))
    assert points == same
    other, _ = run(base_folder, seed=2, lora_dropout=0.1, neftune_noise_alpha=5.0)
    assert not torch.equal(weights(first), weights(other))


def test_accumulated_batches_step_like_one_large_batch(base_folder: Path) -> None:
    large, _ = run(base_folder, num_train_epochs=1, per_device_train_batch_size=40)
    small, _ = run(
        base_folder,
        num_train_epochs=1,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=5,
    )
    assert torch.allclose(weights(large), weights(small), atol=1e-4)


def test_every_row_is_planned_once_an_epoch() -> None:
    plan = plan_steps([5] * 40, PARAMS.model_copy(update={"gradient_accumulation_steps": 2}), 1)
    rows = [row for step in plan for batch in step for row in batch]
    assert sorted(rows) == sorted(2 * list(range(40)))
    assert len(plan) == 6  # five batches of eight make three steps an epoch


def test_warm_up_is_a_share_or_a_number_of_steps(base_folder: Path) -> None:
    for warmup in (0.5, 5):
        _, points = run(base_folder, warmup_steps=warmup, logging_steps=1)
        rates = [point.learning_rate for point in points if point.curve == "train"]
        assert rates[0] == 0
        assert max(rates) == rates[5] == PARAMS.lr


@pytest.mark.parametrize(
    "changed",
    [
        {"gradient_checkpointing": True},
        {"optim": "paged_adamw_8bit"},
        {"quantization": "nf4"},
        {"bias": "lora_only", "target_modules": ["q_proj", "v_proj"]},
        {"precision": "bf16"},
        {"lr_scheduler_type": "constant_with_warmup"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_way_of_training_learns(base_folder: Path, changed: dict[str, Any]) -> None:
    before = mean_loss(load_base(folder=base_folder), ROWS, PARAMS, pad_id=0)
    _, points = run(base_folder, **changed)
    assert points[-1].loss < before - 0.05


@pytest.mark.parametrize("names", [["query"], ["q_proj", "query"]])
def test_unknown_target_modules_are_refused_with_those_there_are(
    base_folder: Path, names: list[str]
) -> None:
    message = "names query, which the model does not have: its linear layers are .*gate_proj"
    with pytest.raises(InputError, match=message):
        run(base_folder, target_modules=names)


def test_a_loss_that_explodes_stops_the_training(base_folder: Path) -> None:
    with pytest.raises(InputError, match=r"the training loss is (nan|inf) at step .*: lower"):
        run(base_folder, lr=1e30, warmup_steps=0)


def test_trained_weights_are_fp32_in_half_precision_too(base_folder: Path) -> None:
    params = PARAMS.model_copy(update={"bias": "all"})
    model = add_adapter(load_base("fp16", folder=base_folder), params, seed=1)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
