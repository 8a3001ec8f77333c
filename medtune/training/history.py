"""The progress of a training run: its steps and the points of its curves."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Point:
    """A point of a training or validation curve; `loss` in nats per supervised token."""

    curve: str
    step: int
    epoch: float
    loss: float
    learning_rate: float
    tokens: int  # read so far, supervised or not


@dataclass
class History:
    """Steps and tokens so far, the points, and the loss summed since the last training point."""

    step: int = 0
    tokens: int = 0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    points: list[Point] = field(default_factory=list)

    def validation_losses(self) -> dict[int, float]:
        return {point.step: point.loss for point in self.points if point.curve == "validation"}

    def is_lowest(self, loss: float) -> bool:
        """Whether a validation loss is lower than all earlier ones."""
        return loss < min(self.validation_losses().values(), default=math.inf)
