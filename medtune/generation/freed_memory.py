"""Keeps memory that torch has freed, so that the next pass through the model takes it again."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
NEVER = -1


def keep_freed_memory() -> None:
    """Has the C library hand no memory back to the system before the process ends (glibc only).

    Otherwise each tensor of more than 32 MiB gets new pages, which the system must clear first:
    for long prompts, that takes an eighth of the time.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # macOS, musl
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, NEVER)
