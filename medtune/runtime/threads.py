"""How the threads of torch wait for each other, some thousand times in a step of training."""

import os
import time
from pathlib import Path

RUNNABLE = Path("/proc/loadavg")  # of Linux; its fourth field is "<runnable>/<all>"
SPINS = "10000"  # about half a millisecond


def let_waiting_threads_sleep() -> None:
    """Has waiting threads sleep, and spin for a moment before it if they have all cores.

    To wake a thread takes longer than most operations of a small model, so a step without spinning
    takes half as long again. Beside another busy process, spinning keeps a core from it: a step
    would take up to 20 times as long. Acts before torch is imported; what the user sets counts.
    """
    if "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    if cores_are_free():
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def cores_are_free(reads: int = 10) -> bool:
    """Whether each thread that torch starts finds a free core; False where it is unknown.

    The least of several reads counts: most of what runs at the start of a process ends at once.
    """
    runnable = []
    for _ in range(reads):
        try:
            fields = RUNNABLE.read_text(encoding="ascii").split()
        except OSError:
            return False
        runnable.append(int(fields[3].partition("/")[0]))
        time.sleep(0.002)
    others = min(runnable) - 1
    return others + len(os.sched_getaffinity(0)) <= (os.cpu_count() or 1)
