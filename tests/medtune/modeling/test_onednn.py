from pathlib import Path
from typing import Any

import pytest
import torch

from medtune.config.loading import load_params
from medtune.modeling import onednn
from medtune.modeling.adapters import add_adapter
from medtune.modeling.loading import load_base
from medtune.modeling.onednn import packed_weights

IDS = torch.tensor([[257, 5, 6, 7], [257, 8, 9, 10]])


@pytest.fixture
def model(base_folder: Path) -> Any:
    return load_base(folder=base_folder)


def is_packed(model: Any) -> bool:
    return "forward" in vars(model.get_output_embeddings())


@pytest.mark.slow
@torch.inference_mode()
def test_packed_weights_give_the_same_logits_with_and_without_a_bias(model: Any) -> None:
    model.lm_head.bias = torch.nn.Parameter(torch.arange(model.config.vocab_size) / 100)
    expected = model(IDS).logits
    with packed_weights(model, tokens=8):
        assert is_packed(model)
        assert torch.allclose(model(IDS).logits, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(model(IDS).logits, expected)


@torch.inference_mode()
def test_weights_that_change_afterwards_are_seen(model: Any) -> None:
    with packed_weights(model, tokens=8):
        before = model(IDS).logits
    for weight in model.parameters():
        weight += 0.1
    with packed_weights(model, tokens=8):
        after = model(IDS).logits
    assert torch.allclose(after, model(IDS).logits, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(after, before, rtol=1e-2)


@pytest.mark.slow
def test_gradients_flow_through_packed_weights_to_the_adapter(model: Any) -> None:
    adapted = add_adapter(model, load_params("train"), seed=1)
    trained = [parameter for parameter in adapted.parameters() if parameter.requires_grad]

    def gradients() -> list[torch.Tensor]:
        loss = adapted(IDS, labels=IDS).loss
        return list(torch.autograd.grad(loss, trained))

    expected = gradients()
    with packed_weights(adapted, tokens=8, gradients=True):
        frozen = [m for m in adapted.modules() if "forward" in vars(m)]
        assert is_packed(adapted)
        assert not [m for m in frozen if m.weight.requires_grad]
        for ours, theirs in zip(gradients(), expected, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert not is_packed(adapted)


def test_an_error_leaves_the_model_as_it_was(model: Any) -> None:
    with pytest.raises(RuntimeError, match="stop"), packed_weights(model, tokens=8):
        raise RuntimeError("stop")
    assert not is_packed(model)


@torch.inference_mode()
def test_what_cannot_be_packed_runs_as_it_is(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with packed_weights(model, tokens=1):
        assert not is_packed(model)
    with (
        packed_weights(model, tokens=8),
        packed_weights(model, tokens=8),
    ):  # the inner one changes nothing
        assert torch.isfinite(model(IDS).logits).all()
    with packed_weights(model.to(torch.bfloat16), tokens=8):
        assert not is_packed(model)
    monkeypatch.setattr(onednn, "_has_operators", lambda: False)
    with packed_weights(model.float(), tokens=8):
        assert not is_packed(model)
