"""The one way to show progress."""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

logger = logging.getLogger("medtune")

QUIET_S = 4.0  # longest wait for the next sign of life, as far as it is ours to give


def progress(
    items: Iterable[Any] | None = None,
    total: int | None = None,
    unit: str = "it",
    description: str | None = None,
) -> Any:
    """A progress bar on standard error; in a log file, a line every few seconds."""
    interval = 0.2 if sys.stderr.isatty() else QUIET_S
    return tqdm(
        items,
        description,
        total=total,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        mininterval=interval,
        maxinterval=QUIET_S,
        miniters=1,  # tqdm would guess how many items to skip, and stay silent when they slow down
        delay=1,
        leave=False,
    )


@contextmanager
def ticking(what: str) -> Iterator[None]:
    """Logs a line every few seconds while something that shows no progress of its own goes on."""
    done = threading.Event()
    start = time.monotonic()

    def tick() -> None:
        while not done.wait(QUIET_S):
            logger.info(f"{what}: {time.monotonic() - start:.0f} s")

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class BesideBars(logging.Handler):
    """Writes log lines to standard error without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
