"""Work spread over the cores of this machine, with results that do not depend on their number."""

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

AHEAD = 2  # items per process that are worked on or wait: bounds the memory


def core_count() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], alone: int
) -> Iterator[Result]:
    """Yields work(item) of each item, in order; takes only a few items ahead.

    The first `alone` items are done in this process, so that few of them do not pay for starting
    others; the rest by one process per core. `work`, items and results must be picklable.
    """
    items = iter(items)
    count = core_count()
    yield from map(work, islice(items, alone if count > 1 else None))
    for item in items:  # one at most: the processes take the rest
        yield from _map_in_processes(work, chain([item], items), count)


def _map_in_processes(
    work: Callable[[Item], Result], items: Iterator[Item], count: int
) -> Iterator[Result]:
    # Not forked: a copy of a process that has threads (Arrow's, the progress bar's) can hang.
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
    """Leaves Ctrl-C to the parent, which ends its workers; ends with it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
