"""The one way to show progress."""

import logging
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(
    items: Iterable[Any] | None = None,
    total: int | None = None,
    unit: str = "it",
    description: str | None = None,
) -> Any:
    """A progress bar on standard error; in a log file, a line every few seconds."""
    interval = 0.2 if sys.stderr.isatty() else 5.0
    return tqdm(
        items,
        description,
        total=total,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        mininterval=interval,
        maxinterval=5,
        delay=1,
        leave=False,
    )


class BesideBars(logging.Handler):
    """Writes log lines to standard error without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
