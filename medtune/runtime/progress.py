"""Shows progress: bars, and the last line again when there is no other output."""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

logger = logging.getLogger("medtune")

QUIET_S = 4.0  # longest time without output


class LastSign:
    """What was shown last, and when (in seconds of `time.monotonic`)."""

    at = 0.0
    line, line_at = "starting", 0.0


class Bar(tqdm):
    def display(self, *arguments: Any, **named: Any) -> Any:
        LastSign.at = time.monotonic()
        return super().display(*arguments, **named)


class BesideBars(logging.Handler):
    """Writes log lines to standard error without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
        LastSign.at = time.monotonic()
        if not hasattr(record, "repeated"):
            LastSign.line, LastSign.line_at = record.getMessage(), LastSign.at


def is_main_process() -> bool:
    """Returns whether this is the only process, or the one of several that logs and writes."""
    return os.environ.get("RANK", "0") == "0"


def progress(
    items: Iterable[Any] | None = None,
    total: int | None = None,
    unit: str = "it",
    description: str | None = None,
    initial: int = 0,
) -> Any:
    """Returns a progress bar on standard error; in a log file, it is a line every few seconds."""
    interval = 0.2 if sys.stderr.isatty() else QUIET_S
    return Bar(
        items,
        description,
        total=total,
        initial=initial,
        unit=unit if unit == "B" else f" {unit}",
        unit_scale=unit == "B",
        mininterval=interval,
        maxinterval=QUIET_S,
        miniters=1,  # tqdm would guess how many items to skip, and stay silent when they slow down
        delay=1,
        leave=False,
        disable=not is_main_process(),
    )


@contextmanager
def heartbeat() -> Iterator[None]:
    """Shows the bar or the last line again whenever there was no output for a few seconds."""
    done = threading.Event()
    LastSign.at = LastSign.line_at = time.monotonic()

    def beat() -> None:
        while not done.wait(QUIET_S / 8):
            now = time.monotonic()
            if now - LastSign.at < QUIET_S:
                continue
            if bars := [bar for bar in list(Bar._instances) if isinstance(bar, Bar)]:
                max(bars, key=lambda bar: bar.start_t).refresh()
            else:
                seconds = f"{now - LastSign.line_at:.0f} s"
                logger.info(f"{LastSign.line} … {seconds}", extra={"repeated": True})

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
