"""Ends a stage together with DVC."""

import ctypes
import os
import signal
import sys

from medtune.runtime.replaced_outputs import DVC_STAGE

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_dvc() -> None:
    """Has Linux end this process if DVC, which has started it, is killed.

    Otherwise the stage would go on, and the next `dvc repro` would run it a second time beside it.
    A stage that was started by hand goes on without its shell.
    """
    if DVC_STAGE in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
