"""Sends the curves of a training run to trackers while it runs, as MEDTUNE_REPORT_TO says.

An environment variable decides, because a parameter would be a reason to train again. A tracker
changes no output, and one that fails during a run is dropped with a warning.
"""

import difflib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from accelerate import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from medtune.runtime.errors import InputError, in_one_line
from medtune.runtime.progress import is_main_process
from medtune.training.checkpoints import project_root
from medtune.training.history import Point

logger = logging.getLogger("medtune")

REPORT_TO = "MEDTUNE_REPORT_TO"
PROJECT = "medtune"  # or the experiment, as MLflow calls it
TRACKERS = ("dvclive", "mlflow", "tensorboard", "wandb")


def requested_trackers() -> list[str]:
    """Returns the names in MEDTUNE_REPORT_TO, which are separated by commas.

    Raises InputError if one is unknown, or its package is not installed.
    """
    names = [name.strip().lower() for name in os.environ.get(REPORT_TO, "").split(",")]
    names = [name for name in dict.fromkeys(names) if name]
    available = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in TRACKERS:
            near = difflib.get_close_matches(name, TRACKERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it can name {', '.join(TRACKERS)}"
            raise InputError(f"{REPORT_TO} names the tracker {name!r}: {hint}")
        if name not in available:
            remedy = f"run `make .venv/trackers`, or unset {REPORT_TO}"
            raise InputError(f"{REPORT_TO} names {name}, which is not installed: {remedy}")
    return names


@contextmanager
def reporting(names: list[str], settings: dict[str, Any]) -> Iterator[Callable[[Point], None]]:
    """Starts a run in each tracker; yields a function that sends them a point of a curve.

    `settings` are shown beside the run. Raises InputError if a tracker does not start.
    """
    trackers: dict[str, Any] = {}
    PartialState()  # accelerate's trackers ask it which process is the first

    def attempt(action: Callable[[Any], None]) -> None:
        for name, tracker in list(trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # whatever it is, the training matters more
                logger.warning(f"{name} failed and gets no more points: {in_one_line(error)}")
                del trackers[name]

    def send(point: Point) -> None:
        values = {f"{point.curve}/loss": point.loss, "learning_rate": point.learning_rate}
        attempt(lambda tracker: tracker.log(values, step=point.step))

    try:
        for name in names if is_main_process() else ():
            trackers[name] = _start(name, settings)
        yield send
    finally:
        attempt(lambda tracker: tracker.finish())


def _start(name: str, settings: dict[str, Any]) -> Any:
    """Starts a run in a tracker. What is kept on this machine goes to `runs/` in the project."""
    folder = project_root() / "runs"
    run_name = f"{os.environ.get('DVC_EXP_NAME', 'train')}-{time.strftime('%Y%m%d-%H%M%S')}"
    options: dict[str, dict[str, Any]] = {
        "dvclive": {
            "dir": str(folder / "dvclive" / run_name),
            "save_dvc_exp": False,
            "dvcyaml": None,
        },
        "mlflow": {"experiment_name": PROJECT, "run_name": run_name},
        "tensorboard": {"run_name": run_name, "logging_dir": folder / "tensorboard"},
        "wandb": {"run_name": PROJECT, "name": run_name, "dir": str(folder)},
    }
    plain = {key: v if isinstance(v, (int, float)) else str(v) for key, v in settings.items()}
    folder.mkdir(exist_ok=True)
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    try:
        tracker = LOGGER_TYPE_TO_CLASS[name](**options[name])
        tracker.start()
        tracker.store_init_configuration(plain)
    except Exception as error:
        failure = f"the tracker {name} did not start ({in_one_line(error)})"
        raise InputError(f"{failure}: set it up, or unset {REPORT_TO}") from error
    logger.info(f"the curves also go to {name}, as the run {run_name}")
    return tracker
