"""Training with fused layers: losses and gradients are those of the layers as they are."""

import logging
import sys
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import torch

from medtune.config.loading import load_params
from medtune.modeling.adapters import add_adapter
from medtune.modeling.collation import padded
from medtune.modeling.onednn import packed_weights
from medtune.modeling.token_losses import SupervisedLoss
from medtune.training import fused_layers as fused
from medtune.training.fused_layers import WORTH_COMPILING, fused_layers
from tests.tiny_models import as_if_trained, random_model

SHORT, LONG = 1, int(WORTH_COMPILING)  # tokens of a run
ROWS = [[5, 6, 7, 8, 9, 10], [5, 6, 11, 12, 13], [5, 6, 14, 15]]


def learned(
    model: Any, tokens: int | None, half: bool = False, packed: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the loss and the gradients of one pass, fused for a run of so many tokens."""
    loss = SupervisedLoss(model).train()
    torch.manual_seed(1)
    with ExitStack() as layers:
        products = layers.enter_context(packed_weights(model, 8 * packed, gradients=True))
        assert bool(products) == packed
        if tokens is not None:
            layers.enter_context(fused_layers(model, products, tokens))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            total = loss(padded(ROWS, [3, 3, 3], 0)).sum()
        total.backward()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    found = torch.cat([weight.grad.flatten() for weight in trained])
    loss.zero_grad()
    return total.detach(), found


def adapted(base: Any = None, **changed: Any) -> Any:
    params = load_params("train").model_copy(update=changed)
    return as_if_trained(add_adapter(base or random_model("llama"), params, 42))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The functions that are compiled; they run as they are, because compiling takes seconds."""
    found: list[Any] = []

    def noted(function: Any, **_: Any) -> Any:
        found.append(function)
        return function

    monkeypatch.setattr(torch, "compile", noted)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [SHORT, LONG])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"lora_dropout": 0.5},
        {"use_rslora": True, "target_modules": ["q_proj", "v_proj"]},
        {"use_dora": True},
        {"bias": "lora_only"},
        {"gradient_checkpointing": True, "lora_dropout": 0.5},
    ],
)
def test_a_pass_is_the_same(compiled: list[Any], changed: dict[str, Any], tokens: int) -> None:
    model = adapted(**changed)
    loss, gradients = learned(model, None)
    fused_loss, fused_gradients = learned(model, tokens)
    torch.testing.assert_close(fused_loss, loss)
    torch.testing.assert_close(fused_gradients, gradients)
    assert gradients.norm() > 0
    assert bool(compiled) == (tokens == LONG)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, {"lora_dropout": 0.5}, {"target_modules": ["q_proj"]}])
def test_a_pass_through_packed_weights_is_the_same(changed: dict[str, Any]) -> None:
    model = adapted(**changed)
    loss, gradients = learned(model, None)
    fused_loss, fused_gradients = learned(model, SHORT, packed=True)
    torch.testing.assert_close(fused_loss, loss)
    torch.testing.assert_close(fused_gradients, gradients)


@pytest.mark.slow
def test_a_pass_in_half_precision_is_the_same_up_to_rounding(compiled: list[Any]) -> None:
    exact, expected = learned(adapted(), None)
    errors = []
    for tokens in (None, SHORT):
        model = adapted(random_model("llama").bfloat16())
        loss, gradients = learned(model, tokens, half=True)
        assert loss.item() == pytest.approx(exact.item(), rel=0.05)
        assert gradients.dtype == torch.float32
        errors.append(((gradients - expected).norm() / expected.norm()).item())
    assert errors[1] < 1.5 * errors[0]


@pytest.mark.slow
@torch.no_grad()
def test_a_model_that_answers_is_the_same(compiled: list[Any]) -> None:
    model = adapted(lora_dropout=0.5).eval()
    ids = torch.tensor([ROWS[0]])
    expected = model(ids).logits
    with fused_layers(model, {}, LONG):
        torch.testing.assert_close(model(ids).logits, expected)


@pytest.mark.slow
def test_layers_with_an_adapter_take_one_function_each(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    original = fused._adapted

    def counted(layer: Any, *arguments: Any) -> torch.Tensor:
        calls.append(layer)
        return original(layer, *arguments)

    monkeypatch.setattr(fused, "_adapted", counted)
    model = adapted()
    learned(model, SHORT)
    assert len(calls) == 7 * model.config.num_hidden_layers
    calls.clear()
    learned(adapted(use_dora=True), SHORT)
    assert not calls


@pytest.mark.slow
def test_norms_gates_and_rotary_embeddings_are_compiled_and_put_back(compiled: list[Any]) -> None:
    model = adapted()
    file = sys.modules[type(model.get_base_model()).__module__]
    rotary = file.apply_rotary_pos_emb
    with fused_layers(model, {}, LONG):
        names = [function.__qualname__ for function in compiled]
        changed = [type(m).__name__ for m in model.modules() if "forward" in vars(m)]
    assert {"_gate", "LlamaRMSNorm.forward", "apply_rotary_pos_emb"} == set(names)
    assert {"Linear", "LlamaRMSNorm", "LlamaMLP"} == set(changed)
    with suppress(KeyError), fused_layers(model, {}, LONG):
        raise KeyError
    assert not [module for module in model.modules() if "forward" in vars(module)]
    assert file.apply_rotary_pos_emb is rotary


@pytest.mark.slow
def test_a_machine_without_a_compiler_trains_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    model = adapted()
    with caplog.at_level(logging.INFO, logger="medtune"):
        loss, _ = learned(model, LONG)
    assert loss.isfinite()
    assert "Failed to find C compiler" in caplog.text


@pytest.mark.slow
def test_a_model_whose_own_functions_cannot_be_compiled_trains_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = adapted()
    file = sys.modules[type(model.get_base_model()).__module__]
    rotary = file.apply_rotary_pos_emb

    def refuse(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("no such operation")

    def compiled(function: Any) -> Any:
        is_rotary = function is rotary
        return torch.compile(function, backend=refuse) if is_rotary else function

    monkeypatch.setattr(fused, "_compiled", compiled)
    expected, _ = learned(model, None)
    loss, _ = learned(model, LONG)
    torch.testing.assert_close(loss, expected)
