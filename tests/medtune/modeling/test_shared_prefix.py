"""Packing a batch with its shared prefix changes no number, where model and recipe allow it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from medtune.config.loading import load_params
from medtune.config.schema import Train
from medtune.modeling.adapters import add_adapter
from medtune.modeling.collation import padded
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.neftune import add_neftune
from medtune.modeling.shared_prefix import (
    ATTENTION,
    attend_from_one_token,
    continuation_logits,
)
from medtune.modeling.token_losses import SupervisedLoss

PREFIX = [5, 6, 7, 8, 9, 10]
ROWS = [[*PREFIX, 20, 21, 2], [*PREFIX, 30, 31, 32, 33, 2], [*PREFIX, 20, 40, 2]]
STARTS = [8, 8, 7]
SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def make(kind: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SHAPE, **options))


def tokens_run(model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, int]:
    """The losses, and how many tokens went through the model for them."""
    counts, loss = [], SupervisedLoss(model)
    hook = model.get_input_embeddings().register_forward_pre_hook(
        lambda _, ids: counts.append(ids[0].numel())
    )
    losses = loss(batch)
    hook.remove()
    return losses, counts[0]


def batch() -> dict[str, torch.Tensor]:
    return padded(ROWS, STARTS, pad_id=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["llama", "qwen2", "qwen3", "gemma", "phi3", "mistral", "olmo2", "granite", "smollm3"]
)
def test_the_prefix_runs_once_and_changes_nothing(kind: str) -> None:
    model = make(kind, **({"sliding_window": None} if kind in ("mistral", "phi3") else {})).eval()
    weight = next(model.model.layers[0].self_attn.parameters())
    packed, tokens = tokens_run(model, batch())
    packed.sum().backward()
    gradient, weight.grad = weight.grad, None
    model.set_attn_implementation("eager")
    padded_losses, all_tokens = tokens_run(model, batch())
    padded_losses.sum().backward()
    assert (tokens, all_tokens) == (6 + 3 + 5 + 3, 3 * 11)
    assert torch.allclose(packed, padded_losses, rtol=1e-5, atol=0)
    assert (gradient - weight.grad).abs().max() <= 1e-5 * weight.grad.abs().max()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mistral", {"sliding_window": 4}),
        ("gemma2", {"head_dim": 8}),
        ("bloom", {}),
    ],
)
def test_models_with_local_attention_run_padded(kind: str, options: dict[str, Any]) -> None:
    _, tokens = tokens_run(make(kind, **options), batch())
    assert tokens == 3 * 11


@pytest.fixture
def params() -> Train:
    return load_params("train")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({}, 6 + 3 + 5 + 3),
        ({"use_dora": True}, 6 + 3 + 5 + 3),
        ({"gradient_checkpointing": True}, 6 + 3 + 5 + 3),
        ({"lora_dropout": 0.05}, 9 + 11 + 9),
        ({"neftune_noise_alpha": 5.0}, 9 + 11 + 9),
    ],
    ids=str,
)
def test_recipes_with_noise_run_the_prefix_in_each_row(
    params: Train, recipe: dict[str, Any], expected: int
) -> None:
    model = add_adapter(make("llama"), params.model_copy(update=recipe), seed=0).train()
    _, tokens = tokens_run(model, batch())
    assert tokens == expected


@pytest.mark.slow
def test_recomputed_activations_give_the_same_gradients(params: Train) -> None:
    gradients = []
    for checkpointing in (False, True):
        recipe = params.model_copy(update={"gradient_checkpointing": checkpointing})
        model = add_adapter(make("llama"), recipe, seed=0).train()
        losses, _ = tokens_run(model, batch())
        losses.sum().backward()
        assert model.config._attn_implementation == ATTENTION
        found = [weight.grad for weight in model.parameters() if weight.grad is not None]
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    assert gradients[0].abs().max() > 0
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-7)


def test_dropout_draws_anew_for_each_row() -> None:
    model = make("llama", attention_dropout=0.1)
    assert tokens_run(model.train(), batch())[1] == 9 + 11 + 9
    assert tokens_run(model.eval(), batch())[1] == 6 + 3 + 5 + 3


@pytest.mark.slow
def test_packed_rows_get_the_noise_of_the_padded_batch() -> None:
    def run(attention: str) -> tuple[torch.Tensor, int]:
        model = make("llama").train()
        model.set_attn_implementation(attention)
        add_neftune(model.get_input_embeddings(), alpha=5.0)
        enable_prefix_sharing(model)
        torch.manual_seed(7)
        return tokens_run(model, batch())

    packed, tokens = run("sdpa")
    padded_losses, all_tokens = run("eager")
    assert (tokens, all_tokens) == (9 + 11 + 9, 3 * 11)
    assert torch.allclose(packed, padded_losses, rtol=1e-5, atol=0)
    assert not torch.allclose(packed, tokens_run(make("llama"), batch())[0], rtol=1e-3, atol=0)


def test_a_single_row_and_rows_without_a_shared_prefix_run_whole() -> None:
    model = make("llama")
    assert tokens_run(model, padded(ROWS[:1], STARTS[:1], 0))[1] == 9
    assert tokens_run(model, padded([[1, *ROWS[0]], ROWS[1]], STARTS[:2], 0))[1] == 10 + 11


@pytest.mark.slow
def test_supervised_tokens_are_not_part_of_the_prefix() -> None:
    assert tokens_run(make("llama"), padded(ROWS, [0, 0, 0], 0))[1] == 9 + 11 + 9
    assert tokens_run(make("llama"), padded(ROWS, [8, 3, 8], 0))[1] == 2 + 7 + 9 + 7


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "contexts", [[[5, 6, 7, 20, 21], [5, 6, 7, 30]], [[5, 6], [7]], [[5, 6, 7]]]
)
def test_continuations_attend_to_their_context_and_themselves(
    contexts: list[list[int]], attention: str
) -> None:
    continuations = [[[1, 2], [3, 8, 9]], [[1], [4, 4], [10]]][: len(contexts)]
    model = make("llama").eval()
    model.set_attn_implementation(attention)
    assert enable_prefix_sharing(model) == (attention == "sdpa")
    expected = [
        model(torch.tensor([context + continuation])).logits[0, len(context) :]
        for context, group in zip(contexts, continuations, strict=True)
        for continuation in group
    ]
    got = continuation_logits(model, contexts, continuations)
    assert torch.allclose(got, torch.cat(expected), rtol=1e-5, atol=1e-6)


def test_contexts_and_their_shared_prefix_run_once() -> None:
    model, counts = make("llama").eval(), []
    assert enable_prefix_sharing(model)
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, ids: counts.append(ids[0].numel())
    )
    continuation_logits(model, [[5, 6, 7, 20, 21], [5, 6, 7, 30]], [[[1, 2], [3]], [[1], [4, 4]]])
    assert counts == [3 + (2 + 3) + (1 + 3)]


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_a_step_of_decoding_copies_no_keys_and_attends_as_in_transformers(
    groups: int, scale: float | None
) -> None:
    torch.manual_seed(1)
    query = torch.randn(5, 2 * groups, 1, 8)
    key, value = torch.randn(2, 5, 2, 7, 8)
    mask = torch.rand(5, 1, 1, 7) < 0.7
    mask[..., -1] = True
    module: Any = SimpleNamespace(num_key_value_groups=groups, is_causal=True)
    expected, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=scale)
    output, _ = attend_from_one_token(query, key, value, mask, scale)
    assert output.shape == expected.shape == (5, 1, 2 * groups, 8)
    torch.testing.assert_close(output, expected)
