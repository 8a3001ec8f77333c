"""The handshake by which workers take turns, so that all are timed on the same machine state."""

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from medtune.runtime.errors import InputError

Report = dict[str, Any]


class Turns:
    """Cuts one training run into a warm-up step and slices of about equal useful tokens.

    `exchange` sends a report and blocks until the next turn; the clock stands still meanwhile.
    The arm calls `count` with the useful tokens of each forward pass and `end_step` after each
    optimiser step; `total` is the number of useful tokens of the whole run.
    """

    def __init__(self, total: int, slices: int, exchange: Callable[[Report], None]) -> None:
        self.total, self.slices, self.exchange = total, slices, exchange
        self.tokens = self.reported = 0
        self.ends: list[float] | None = None  # useful tokens at which a slice is full
        self.start = 0.0

    def count(self, tokens: int) -> None:
        self.tokens += tokens

    def end_step(self) -> None:
        if self.ends is None:  # the first step pays for what is allocated and compiled once
            rest = self.total - self.tokens
            shares = range(self.slices - 1, -1, -1)
            self.ends = [self.total - rest * share / self.slices for share in shares]
            self._hand_over({})
        elif self.tokens >= self.ends[0]:
            synchronize()
            seconds = time.perf_counter() - self.start
            self.ends.pop(0)
            self._hand_over({"tokens": self.tokens - self.reported, "seconds": seconds})

    def check_finished(self) -> None:
        """Raises where the run was too short, or an arm saw other tokens than it was given."""
        if self.tokens != self.total:
            raise AssertionError(f"{self.tokens} useful tokens were trained on, not {self.total}")
        if self.ends is None or self.ends:
            raise InputError(f"the run has too few steps for {self.slices} slices: raise --cards")

    def _hand_over(self, report: Report) -> None:
        self.reported = self.tokens
        self.exchange({**report, "peak_memory_gib": peak_memory_gib()})
        self.start = time.perf_counter()


def release_memory() -> None:
    """Gives back what is free, so that the worker in turn finds it."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    if gpu():
        import torch

        torch.cuda.empty_cache()


def synchronize() -> None:
    if gpu():
        import torch

        torch.cuda.synchronize()


def peak_memory_gib() -> float:
    if gpu():
        import torch

        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def gpu() -> bool:
    import torch

    return torch.cuda.is_available()
