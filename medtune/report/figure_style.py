"""The look that all pictures share: colours, markers, line styles, sizes, intervals and legends.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; markers
and hatches do the same for prints in grey. Nothing here depends on the user's matplotlib settings.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.4  # inches
MODELS = {"base": "base", "finetuned": "fine-tuned", "reference": "reference"}
COLORS = {"base": "#E69F00", "finetuned": "#0072B2", "reference": "#BBBBBB"}
MARKS = {"base": "s", "finetuned": "o"}
HATCHES = {"base": "////", "finetuned": "", "reference": "...."}
CURVES = {
    "train": {"color": "#56B4E9", "marker": "."},
    "validation": {"color": "#D55E00", "marker": "D", "linestyle": "--"},
}
VERDICTS: dict[str, dict[str, Any]] = {
    "better": {"color": "#009E73", "marker": "o"},
    "worse": {"color": "#D55E00", "marker": "X"},
    "changed": {"color": "#0072B2", "marker": "D"},
    "unclear": {"color": "#000000", "marker": "o", "markerfacecolor": "white"},
}
MOST_LETTERS = 32  # in a label
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.size": 9,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "svg.hashsalt": "medtune",
    "text.parse_math": False,  # a dollar sign in the data starts no formula
}
FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 200, "metadata": {"Software": None}},
    "svg": {"metadata": {"Creator": None, "Date": None}},
}


@contextmanager
def drawn_in_style() -> Iterator[None]:
    """Within this context, figures look the same on every machine."""
    from matplotlib import style

    with style.context(STYLE, after_reset=True):
        yield


def save(figure: "Figure", folder: Path, name: str) -> None:
    """Writes a figure in each format, without a date or a version.

    The positions that the layout engine finds differ in their last digits from run to run, and
    with them the names of an SVG's clip paths. So the positions are rounded.
    """
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)  # not "none", which would draw each format twice
    for axes in figure.axes:
        bounds = axes.get_position(original=True).bounds
        left, bottom, width, height = (round(side, 4) for side in bounds)
        axes.set_position((left, bottom, width, height))
    for suffix, options in FORMATS.items():
        figure.savefig(folder / f"{name}.{suffix}", **options)


def new_figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Returns a figure of this height in inches, and its axes row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def draw_interval(
    axes: "Axes",
    y: float,
    metrics: Mapping[str, Any],
    name: str,
    zero: float,
    look: Mapping[str, Any],
) -> None:
    """Draws a score's difference, measured from `zero`, with its interval if it has one."""
    fields = ("difference", "ci_low", "ci_high")
    difference, low, high = (metrics[f"{name}.{field}"] for field in fields)
    if None not in (low, high):
        axes.plot([zero + low, zero + high], [y, y], color=look["color"], marker="|")
    if difference is not None:
        axes.plot(zero + difference, y, markersize=6, **look)


def model_looks() -> dict[str, dict[str, Any]]:
    return {
        MODELS[model]: {"color": COLORS[model], "marker": MARKS[model], "linestyle": ""}
        for model in MARKS
    }


def draw_legend(figure: "Figure", looks: Mapping[str, Mapping[str, Any]]) -> None:
    """Draws a legend below the axes, where it covers no data."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=label, **look) for label, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def shortened(text: str) -> str:
    """Cuts the middle out of a long label, because names often differ at the end."""
    text, half = " ".join(text.split()), MOST_LETTERS // 2
    return text if len(text) <= MOST_LETTERS else f"{text[: half - 1]}…{text[-half:]}"
