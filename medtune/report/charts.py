"""The geometry of the report's drawings, in units of their SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 10, 48


@dataclass(frozen=True)
class Chart:
    """A line chart: ticks are (position, label), points (x, y, step, loss) by name of a series."""

    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    series: dict[str, list[tuple[float, float, float, float]]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def line_chart(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Chart | None:
    """Scales loss curves to a chart; None where there is no finite point."""
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()
    }
    points = [point for series in finite.values() for point in series]
    if not points:
        return None
    from matplotlib.ticker import MaxNLocator

    x_values = MaxNLocator(6, integer=True).tick_values(0, max(x for x, _ in points))
    y_values = MaxNLocator(5).tick_values(0, max(y for _, y in points))

    def x_at(x: float) -> float:
        return round(LEFT + (WIDTH - RIGHT - LEFT) * x / x_values[-1], 1)

    def y_at(y: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / y_values[-1], 1)

    return Chart(
        [(x_at(x), f"{x:g}") for x in x_values],
        [(y_at(y), f"{y:g}") for y in y_values],
        {name: [(x_at(x), y_at(y), x, y) for x, y in series] for name, series in finite.items()},
    )


class IntervalAxis:
    """One axis for the intervals of several rows, so that they can be compared by eye.

    >>> IntervalAxis([-0.1, 0.3]).at(0.0)
    25.0
    """

    def __init__(self, values: Sequence[float]) -> None:
        self.low, self.high = min(0.0, *values), max(0.0, *values)

    def at(self, value: float) -> float:
        """The position of a value in percent of the axis, which holds zero."""
        return round(100 * (value - self.low) / ((self.high - self.low) or 1.0), 1)
