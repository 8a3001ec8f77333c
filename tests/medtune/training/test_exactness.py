"""A packed batch trains like its rows taken one by one: the speed-up is exact.

The reference shares no code with the training loop: each row alone, without padding or mask, all
logits of the model, one backward pass a row.
"""

import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import register_optimizer_step_pre_hook

from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.adapters import add_adapter
from medtune.modeling.collation import Spans
from medtune.modeling.loading import load_base
from medtune.training.loop import Rows, train
from tests.tiny_models import as_if_trained

# Of the largest value of a tensor: a gradient near zero is a sum of terms that cancel, and rounds
# with the size of the terms, not with its own.
TOLERANCE = 1e-5
PAD = 7  # also a token of the rows: padding is known by its place, not by its value
PARAMS: Train = load_params("train").model_copy(
    update={
        "precision": "fp32",
        "quantization": "none",
        "num_train_epochs": 1,
        "max_grad_norm": 1e9,
        "load_best_model_at_end": False,
        "warmup_steps": 0,
        "lr": 1e-30,  # the step is taken and changes nothing: the model serves the next case
    }
)
Row = tuple[list[int], int]


@pytest.fixture(scope="module")
def model(base_folder: Path) -> Any:
    adapted = add_adapter(load_base("fp32", folder=base_folder), PARAMS, seed=1)
    return as_if_trained(adapted).train()


def trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def row(length: int, loss_start: int, prefix: int = 0) -> Row:
    """A row whose first `prefix` ids are the same in all rows."""
    numbers = random.Random(100 * length + loss_start)
    ids = [numbers.choice([PAD, numbers.randrange(256)]) for _ in range(length)]
    ids[:prefix] = [(PAD, 1, 2)[n % 3] for n in range(length)][:prefix]
    return ids, loss_start


def row_losses(model: Any, ids: Sequence[int], loss_start: int) -> torch.Tensor:
    """The losses of one row's supervised tokens; nothing comes before the first token."""
    start = max(loss_start, 1)
    logits = model(torch.tensor([[*ids]])).logits[0]
    return cross_entropy(logits[start - 1 : -1], torch.tensor(ids[start:]), reduction="none")


@lru_cache(200)  # many cases share rows
def alone(
    model: Any, ids: tuple[int, ...], loss_start: int, masked: tuple[tuple[int, int], ...]
) -> tuple[int, float, dict[str, torch.Tensor]]:
    """The number of tokens that one row learns, the sum of their losses, and its gradients."""
    start = max(loss_start, 1)
    learned = [n for n in range(start, len(ids)) if not any(a <= n < b for a, b in masked)]
    model.zero_grad()
    loss = row_losses(model, ids, start)[[n - start for n in learned]].sum()
    loss.backward()
    return len(learned), loss.item(), gradients(model)


def one_by_one(
    model: Any, rows: list[Row], masked: list[Spans]
) -> tuple[float, dict[str, torch.Tensor]]:
    found = [
        alone(model, tuple(ids), start, tuple(spans))
        for (ids, start), spans in zip(rows, masked, strict=True)
    ]
    numbers, losses, steps = zip(*found, strict=True)
    tokens = sum(numbers)
    return sum(losses) / tokens, {name: sum(s[name] for s in steps) / tokens for name in steps[0]}


def in_batches(
    model: Any, rows: list[Row], batch_size: int, masked: list[Spans] | None
) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of the one optimiser step that the loop takes over all rows."""
    model.zero_grad()
    columns: Rows = {
        "input_ids": [ids for ids, _ in rows],
        "loss_start": [start for _, start in rows],
    }
    if masked is not None:
        columns["masked_spans"] = masked
    first = {name: column[:1] for name, column in columns.items()}  # its loss plays no part here
    passes = -(-len(rows) // batch_size)
    params = PARAMS.model_copy(
        update={"per_device_train_batch_size": batch_size, "gradient_accumulation_steps": passes}
    )
    found: list[dict[str, torch.Tensor]] = []
    hook = register_optimizer_step_pre_hook(lambda *_: found.append(gradients(model)))
    try:
        points = list(train(model, columns, first, params, seed=1, pad_id=PAD))
    finally:
        hook.remove()
    (step,) = found
    (loss,) = [point.loss for point in points if point.curve == "train"]
    return loss, step


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: weight.grad for name, weight in trained(model).items()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def assert_equal(
    model: Any, rows: list[Row], batch_size: int, masked: list[Spans] | None = None
) -> None:
    loss, batched = in_batches(model, rows, batch_size, masked)
    expected_loss, expected = one_by_one(model, rows, masked or [()] * len(rows))
    assert loss == pytest.approx(expected_loss, rel=TOLERANCE)
    assert len(expected) == 28  # A and B of seven linear layers in two blocks
    for name, gradient in expected.items():
        difference = (batched[name] - gradient).abs().max()
        assert difference <= TOLERANCE * gradient.abs().max(), name


@pytest.mark.slow
@pytest.mark.parametrize("length", range(2, 14))
def test_each_boundary_beside_a_longer_and_a_shorter_row(model: Any, length: int) -> None:
    for loss_start in range(length):
        assert_equal(model, [row(length, loss_start), row(17, 9), row(2, 1)], batch_size=3)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 8, 77])
def test_all_boundaries_together(model: Any, batch_size: int) -> None:
    rows = [row(length, start) for length in range(2, 13) for start in range(1, length)]
    assert_equal(model, rows, batch_size)  # 66 rows: the last batch of eight holds two


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lengths", "batch_size"),
    [([9], 1), ([9], 8), ([9] * 8, 8), ([2, 200], 2), ([2] * 7 + [300], 8), ([64, 5, 64], 2)],
    ids=str,
)
def test_equal_and_very_different_lengths(model: Any, lengths: list[int], batch_size: int) -> None:
    assert_equal(model, [row(length, length // 2) for length in lengths], batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize("prefix", [0, 5])
def test_conversations_whose_loss_leaves_out_what_lies_between_answers(
    model: Any, prefix: int, batch_size: int
) -> None:
    rows = [row(20, 6, prefix), row(31, 7, prefix), row(9, 6, prefix), row(14, 6, prefix)]
    masked: list[Spans] = [[(8, 12), (15, 16)], [(9, 30)], [], [(7, 13)]]
    assert_equal(model, rows, batch_size, masked)


@pytest.mark.slow
@pytest.mark.parametrize("loss_start", range(1, 12))
def test_each_boundary_with_every_second_shared_prefix(model: Any, loss_start: int) -> None:
    for prefix in range(1, 12, 2):
        lengths = (12, 13, 17, 17, 30)
        rows = [row(length, loss_start, prefix) for length in lengths]
        assert_equal(model, rows, batch_size=4)


def rows_of_any_shape() -> st.SearchStrategy[list[Row]]:
    lengths = st.integers(2, 60)
    return st.integers(0, 40).flatmap(
        lambda prefix: st.lists(
            lengths.flatmap(
                lambda length: st.builds(
                    row, st.just(length), st.integers(0, length - 1), st.just(prefix)
                )
            ),
            min_size=1,
            max_size=20,
        )
    )


@pytest.mark.slow
@settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=rows_of_any_shape(), batch_size=st.integers(1, 9))
def test_any_rows_in_any_batches(model: Any, rows: list[Row], batch_size: int) -> None:
    assert_equal(model, rows, batch_size)
