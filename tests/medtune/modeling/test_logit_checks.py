"""How a model runs is decided by what it returns."""

from typing import Any

import pytest
import torch

from medtune.modeling import logit_checks
from medtune.modeling.logit_checks import enable_prefix_sharing
from medtune.modeling.shared_prefix import shares_prefixes
from medtune.runtime.errors import InputError
from tests.tiny_models import random_model


@pytest.mark.slow
def test_a_model_that_mixes_rows_when_packed_runs_padded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = random_model("llama")
    assert enable_prefix_sharing(random_model("llama"))
    decoder = model.model
    forward = decoder.forward

    def without_positions(*arguments: Any, position_ids: Any = None, **named: Any) -> Any:
        return forward(*arguments, **named)  # a packed row brings positions

    monkeypatch.setattr(decoder, "forward", without_positions)
    assert not enable_prefix_sharing(model)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.slow
def test_a_model_that_looks_ahead_is_refused() -> None:
    model = random_model("bert", is_decoder=False)
    with pytest.raises(InputError, match="type bert looks at the tokens that it is to predict"):
        enable_prefix_sharing(model)


def test_a_model_that_needs_more_than_tokens_is_refused() -> None:
    model = random_model("llama")
    model.forward = lambda pixels, **_: None
    with pytest.raises(InputError, match="type llama does not run on token ids alone"):
        enable_prefix_sharing(model)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied\n(a second line)"),
        KeyError("pixel_values"),
        NotImplementedError(),
        IndexError("index out of range in self"),
        AssertionError("no image"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_models_own_code_raises_it_is_refused_in_one_line(error: Exception) -> None:
    model = random_model("llama")

    def forward(**_: Any) -> None:
        raise error

    model.forward = forward
    with pytest.raises(InputError) as caught:
        enable_prefix_sharing(model)
    (line,) = str(caught.value).splitlines()
    assert type(error).__name__ in line and "a second line" not in line
    assert line.endswith(": choose another download.model")


@pytest.mark.parametrize("training", [True, False])
def test_the_check_leaves_no_trace_and_runs_once(
    training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model("llama", attention_dropout=0.5).train(training)
    state = torch.get_rng_state()
    assert enable_prefix_sharing(model) and shares_prefixes(model)
    assert model.training == training and torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.parameters())
    monkeypatch.setattr(logit_checks.Probe, "of", None)
    assert enable_prefix_sharing(model)


@pytest.mark.slow
def test_half_precision_agrees_up_to_its_rounding() -> None:
    assert enable_prefix_sharing(random_model("llama").bfloat16())
