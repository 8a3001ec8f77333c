"""Spreads work over the cores of this machine; their number does not affect the results."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import TypeVar

from medtune.runtime.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # items per process in progress or waiting; limits the memory


def core_count() -> int:
    """Returns the number of cores that this process may use, not that of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], alone: int
) -> Iterator[Result]:
    """Yields work(item) for each item, in order, taking only a few items ahead.

    This process handles the first `alone` items, because starting others does not pay for a few;
    one process per core handles the rest. `work`, items and results must be picklable.
    """
    items = iter(items)
    count = core_count()
    yield from map(work, islice(items, alone if count > 1 else None))
    for item in items:  # at most one: the processes take the rest
        yield from _map_in_processes(work, chain([item], items), count)


def _map_in_processes(
    work: Callable[[Item], Result], items: Iterator[Item], count: int
) -> Iterator[Result]:
    # Not forked: a fork of a process with threads (Arrow's, the progress bar's) can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent)
    pending: deque[Future[Result]] = deque()
    try:
        while True:
            ahead = islice(items, AHEAD * count - len(pending))
            pending.extend(pool.submit(work, item) for item in ahead)
            if not pending:
                return
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed, most likely for lack of memory: "
            "free some memory, then run the same command again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leaves Ctrl-C to the parent, which stops its workers, and exits if the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
