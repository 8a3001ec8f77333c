import pytest
import torch

from medtune.config.loading import load_params
from medtune.training.learning_rate import Schedule


@pytest.mark.parametrize(
    ("kind", "warmup", "said"),
    [
        ("cosine", 0.5, False),
        ("cosine", 0.6, True),
        ("cosine", 5, False),
        ("linear", 300, True),
        ("constant", 300, False),
        ("reduce_lr_on_plateau", 300, False),
    ],
)
def test_a_warm_up_of_more_than_half_of_the_steps_is_said(
    kind: str, warmup: float, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    changed = {"lr_scheduler_type": kind, "warmup_steps": warmup}
    Schedule(optimizer, load_params("train").model_copy(update=changed), steps=10)
    assert bool(caplog.messages) == said
    if said:
        rising = min(10, round(warmup if warmup >= 1 else 10 * warmup))
        assert f"rises in {rising} of 10 steps" in caplog.messages[0]
