"""The sequences that FlashAttention gets. No GPU is needed: attention is calculated by hand."""

from typing import Any

import pytest
import torch

from medtune.modeling.collation import padded
from medtune.modeling.flash import Sequences, _summed, flash_dtype
from medtune.modeling.token_losses import SupervisedLoss
from tests.attention_by_hand import use_attention_by_hand
from tests.tiny_models import random_model

PREFIX = [5, 6, 7, 8]
ROWS = [[*PREFIX, 20, 21, 2], [*PREFIX, 30, 31, 32, 33, 2], [*PREFIX, 20, 40, 2]]


@pytest.mark.slow
@pytest.mark.parametrize("rows", [ROWS, [row[3 + n :] for n, row in enumerate(ROWS)]])
def test_sequences_without_padding_have_the_losses_and_gradients_of_padded_rows(
    rows: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses_and_gradient() -> tuple[torch.Tensor, torch.Tensor]:
        model = random_model("llama")
        losses = SupervisedLoss(model)(padded(rows, [5, 5, 5], pad_id=0))
        losses.sum().backward()
        return losses, model.model.layers[0].self_attn.k_proj.weight.grad

    expected, gradient = losses_and_gradient()
    use_attention_by_hand(monkeypatch)
    losses, own = losses_and_gradient()
    assert torch.allclose(losses, expected, rtol=1e-5)
    assert (own - gradient).norm() <= 1e-5 * gradient.norm()


@pytest.mark.parametrize("prefix", [0, 3])
def test_gradients_of_keys_add_up_at_the_token_that_they_came_from(prefix: int) -> None:
    sequences = Sequences.of(prefix, torch.tensor([2, 4, 1]), torch.float32)
    tokens = torch.randn(prefix + 7, 2, 4, requires_grad=True)
    of_keys = torch.randn(len(sequences.sources), 2, 4)
    tokens[sequences.sources].backward(of_keys)
    assert tokens.grad is not None
    assert torch.allclose(_summed(of_keys, sequences), tokens.grad, atol=1e-6)


def test_a_cpu_keeps_its_attention() -> None:
    model: Any = random_model("llama").bfloat16()
    assert flash_dtype(model) is None
