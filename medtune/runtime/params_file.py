"""Where the parameters are, and how to undo the changes that a failed experiment leaves in them."""

import os
import subprocess
from pathlib import Path

from medtune.runtime.paths import in_queued_experiment

PARAMS_FILE = Path("params.yaml")
UNDO = f"`git checkout {PARAMS_FILE}` undoes all changes in the file"
EXPERIMENT = "DVC_EXP_BASELINE_REV"  # DVC sets it for the stages of an experiment


def can_undo() -> bool:
    """Returns whether params.yaml differs from the last commit, staged or not.

    It does not count in DVC's copy of the project, nor without git.
    """
    command = ["git", "status", "--porcelain", "--untracked-files=no", "--", str(PARAMS_FILE)]
    if in_queued_experiment():
        return False
    try:
        return bool(subprocess.run(command, capture_output=True, check=False).stdout)
    except OSError:
        return False


def with_undo(message: str) -> str:
    """Adds how to undo what `dvc exp run -S` wrote into params.yaml and leaves there."""
    if EXPERIMENT not in os.environ or UNDO in message or not can_undo():
        return message
    return f"{message}; {UNDO}"
