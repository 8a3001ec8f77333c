"""What a CUDA graph records, run on a CPU with attention calculated by hand."""

from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medtune.modeling.collation import Cards, Spans, padded
from medtune.modeling.neftune import add_neftune, sized_noise
from medtune.modeling.token_losses import SupervisedLoss
from medtune.training.cuda_graphs import (
    Graphs,
    Inputs,
    filled,
    plan_sizes,
    rounded_up,
    shared_prefix,
)
from tests.attention_by_hand import use_attention_by_hand
from tests.tiny_models import random_model

IDS = [[5, 6, 7, 8, *range(20, 24 + n), 2] for n in range(8)]
STARTS = [5 + n % 2 for n in range(8)]
PASSES = [[0, 1, 2], [3, 4, 5], [2, 0, 1], [6, 7]]


def test_sizes_that_are_used_once_get_no_graph() -> None:
    sizes = plan_sizes(PASSES, Cards(IDS, STARTS), prefix=4, dtype=torch.float32)
    tokens = rounded_up(4 + 5 + 6 + 7)
    assert list(sizes) == [(3, tokens)]
    size = sizes[3, tokens]
    assert size.targets == sum(len(IDS[n]) - STARTS[n] for n in (0, 1, 2))
    assert size.longest >= max(len(IDS[7]), 4 + tokens - 22)


def test_no_supervised_token_is_predicted_in_the_prefix() -> None:
    assert shared_prefix(Cards(IDS, STARTS)) == 4
    assert shared_prefix(Cards(IDS, [3, *STARTS[1:]])) == 2
    assert shared_prefix(Cards([[9, 9], [9, 9]], [0, 1])) == 0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [None, torch.float32], ids=["mask", "sequences"])
@pytest.mark.parametrize("prefix", [0, 2, 4])
@pytest.mark.parametrize("masked", [(), [[(6, 8)], [], [(7, 8), (9, 10)]]], ids=["card", "turns"])
def test_filling_changes_neither_loss_nor_gradients(
    masked: Sequence[Spans], prefix: int, dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [0, 1, 2]
    cards = Cards([IDS[n] for n in numbers], [STARTS[n] for n in numbers], masked)
    plain = random_model("llama")
    columns = padded(cards.input_ids, cards.loss_start, 0, cards.masked_spans)
    expected = SupervisedLoss(plain)(columns).sum()
    (expected / 10).backward()

    use_attention_by_hand(monkeypatch)
    sizes = plan_sizes(PASSES, Cards(IDS, STARTS), prefix, dtype)
    (size,) = (size for size in sizes.values() if size.rows == 3)
    model = random_model("llama")
    SupervisedLoss(model)  # lets it take packed rows
    graphs = Graphs(model, PASSES, Cards(IDS, STARTS), nullcontext, lambda loss: loss)
    loss = graphs._pass(filled(model, cards, size), torch.tensor(0.1))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for weight, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert weight.grad is not None and other.grad is not None
        assert (weight.grad - other.grad).norm() <= 1e-5 * other.grad.norm()


def test_all_passes_of_a_size_have_the_same_shapes() -> None:
    for dtype in (None, torch.float32):
        sizes = plan_sizes(PASSES, Cards(IDS, STARTS), prefix=4, dtype=dtype)
        (size,) = sizes.values()
        model, shapes = random_model("llama"), []
        for numbers in ([0, 1, 2], [2, 1, 0], [0, 0, 3]):
            cards = Cards([IDS[n] for n in numbers], [STARTS[n] for n in numbers])
            shapes.append([tensor.shape for tensor in filled(model, cards, size).tensors])
        assert shapes[0] == shapes[1] == shapes[2]


def test_models_that_cannot_take_packed_rows_have_no_graph() -> None:
    graphs = Graphs(
        random_model("llama"), PASSES, Cards(IDS, STARTS), nullcontext, lambda loss: loss
    )
    graphs.prepare([[0, 1, 2]])
    assert graphs.run([0, 1, 2], 1.0) is None


def test_passes_may_be_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("llama")
    SupervisedLoss(model)
    graphs = Graphs(model, PASSES, Cards(IDS, STARTS), nullcontext, lambda loss: loss)
    laid_out: list[Inputs] = []

    def recorded(inputs: Inputs) -> Any:
        replay = SimpleNamespace(replay=lambda: None)
        return replay, inputs, (torch.tensor(float(len(laid_out))), torch.tensor(0.0))

    def counted(*arguments: Any) -> Inputs:
        laid_out.append(filled(*arguments))
        return laid_out[-1]

    monkeypatch.setattr(graphs, "_recorded", recorded)
    monkeypatch.setattr("medtune.training.cuda_graphs.filled", counted)
    graphs.prepare([[0, 1, 2], [6, 7]])
    assert len(laid_out) == 1  # the other pass has no graph
    assert graphs.run([0, 1, 2], 1.0) is not None
    assert graphs.run([6, 7], 1.0) is None
    assert len(laid_out) == 1
    assert graphs.run([2, 0, 1], 1.0) is not None  # was not prepared
    assert len(laid_out) == 2
    replayed = graphs.graphs[next(iter(graphs.sizes.values()))][1]
    assert torch.equal(replayed.row.input_ids, laid_out[1].row.input_ids)


def test_noise_is_as_large_as_that_of_the_padded_batch() -> None:
    model, alpha = random_model("llama"), 5.0
    embeddings = model.get_input_embeddings()
    add_neftune(embeddings, alpha)
    SupervisedLoss(model)
    graphs = Graphs(model, PASSES, Cards(IDS, STARTS), nullcontext, lambda loss: loss)
    assert graphs.prefix == 0  # each row draws its own noise
    noise: list[torch.Tensor] = []
    embeddings.register_forward_hook(
        lambda module, ids, output: noise.append(output - module.weight[ids[0]])
    )
    for numbers in ([0, 1, 2], [3, 4, 5]):
        prepared = graphs._inputs(numbers)
        if prepared is None:
            continue
        graphs._pass(prepared[1], torch.tensor(1.0))
        columns = max(len(IDS[n]) for n in numbers)
        largest = alpha / (columns * embeddings.embedding_dim) ** 0.5
        assert 0.9 * largest < noise[-1].abs().max() <= 1.0001 * largest
    assert noise


def test_noise_keeps_the_precision_of_the_model() -> None:
    model = random_model("llama").bfloat16()
    add_neftune(model.get_input_embeddings(), 5.0)
    model.train()
    with sized_noise(model, torch.tensor([0.1])):
        assert model.get_input_embeddings()(torch.tensor([[5, 6]])).dtype == torch.bfloat16
