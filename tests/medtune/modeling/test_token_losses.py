from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from medtune.modeling import token_losses
from medtune.modeling.collation import padded
from medtune.modeling.loading import load_base
from medtune.modeling.token_losses import supervised_losses
from tests.tiny_models import random_model

ROWS = [[1, 9, 8, 7, 6, 2], [1, 30, 31, 2], [1, 40, 41, 42, 43, 44, 45, 2]]
STARTS = [3, 2, 1]


def test_losses_equal_the_models_own_one_row_at_a_time(base_folder: Path) -> None:
    model = load_base(folder=base_folder)
    losses, rows = supervised_losses(model, padded(ROWS, STARTS, pad_id=0))
    assert len(losses) == sum(len(ids) - start for ids, start in zip(ROWS, STARTS, strict=True))
    for number, (ids, start) in enumerate(zip(ROWS, STARTS, strict=True)):
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        expected = cross_entropy(
            logits[start - 1 : -1], torch.tensor(ids[start:]), reduction="none"
        )
        assert torch.allclose(losses[rows == number], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["llama", "gemma2", "cohere", "granite", "gpt2", "opt", "qwen3_moe", "modernbert-decoder"],
)
def test_more_logits_than_fit_are_computed_in_parts(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(kind, pad_token_id=0)
    embeddings = model.get_input_embeddings().weight
    batch = padded(ROWS, STARTS, 0)
    whole, _ = supervised_losses(model, batch)
    (whole * torch.arange(len(whole))).sum().backward()
    expected, embeddings.grad = embeddings.grad, None
    monkeypatch.setattr(token_losses, "CPU_LOGITS_AT_ONCE", 4 * len(embeddings))
    rows, embedded = list[int](), list[Any]()
    model.get_output_embeddings().register_forward_hook(
        lambda _, __, logits: rows.append(logits.flatten(0, -2).shape[0])
    )
    model.get_input_embeddings().register_forward_hook(lambda *_: embedded.append(1))
    parts, _ = supervised_losses(model, batch)
    (parts * torch.arange(len(parts))).sum().backward()
    assert max(rows) == 4 < len(parts)
    assert len(embedded) == 1  # the layers have run once
    assert torch.allclose(parts, whole, rtol=1e-5, atol=1e-6)
    assert torch.allclose(embeddings.grad, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "cohere", "granite"])
def test_a_frozen_head_runs_once_for_each_part(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(kind)
    for frozen in (model.get_input_embeddings(), model.get_output_embeddings()):
        frozen.requires_grad_(False)
    batch, runs = padded(ROWS, STARTS, 0), list[int]()

    def gradients() -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad()
        losses, _ = supervised_losses(model, batch)
        (losses * torch.arange(len(losses))).sum().backward()
        trained = [weight.grad for weight in model.parameters() if weight.requires_grad]
        return losses, torch.cat([gradient.flatten() for gradient in trained])

    expected = gradients()
    monkeypatch.setattr(
        token_losses, "CPU_LOGITS_AT_ONCE", 4 * len(model.get_output_embeddings().weight)
    )
    model.get_output_embeddings().register_forward_hook(
        lambda _, __, logits: runs.append(logits.flatten(0, -2).shape[0])
    )
    for ours, whole in zip(gradients(), expected, strict=True):
        assert (ours - whole).norm() < 1e-5 * whole.norm()
    assert runs == [1, 4, 4, 4]  # the decoder's own run has one row


def test_a_failure_leaves_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("llama")
    monkeypatch.setattr(token_losses, "CPU_LOGITS_AT_ONCE", 1)
    monkeypatch.setattr(model.lm_head, "forward", None)
    with pytest.raises(TypeError):
        supervised_losses(model, padded(ROWS, STARTS, 0))
    assert not model.get_decoder()._forward_hooks
    assert not model.lm_head._forward_pre_hooks


def test_with_fsdp_all_logits_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes gather each layer together, so all must run the model equally often."""
    model, runs = random_model("llama"), []
    monkeypatch.setattr(token_losses, "CPU_LOGITS_AT_ONCE", 1)
    model.register_forward_hook(lambda *_: runs.append(1))
    for setting, count in (("true", 1), ("false", 1 + len(ROWS[0]) - STARTS[0])):
        monkeypatch.setenv("ACCELERATE_USE_FSDP", setting)
        runs.clear()
        with torch.no_grad():
            supervised_losses(model, padded(ROWS[:1], STARTS[:1], 0))
        assert len(runs) == count
