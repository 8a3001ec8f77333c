"""What every stage does around its work: logging, one-line errors, the cost file."""

import errno
import logging
import os
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from medtune.runtime.errors import InputError
from medtune.runtime.out_of_memory import out_of_memory
from medtune.runtime.params_file import with_undo
from medtune.runtime.progress import BesideBars, heartbeat, is_main_process
from medtune.runtime.replaced_outputs import (
    check_replaced,
    declared_outputs,
    removed_by_dvc,
    stamps,
)

logger = logging.getLogger("medtune")

METRICS = Path("metrics")
LAUNCHED = "TORCHELASTIC_RUN_ID"  # is set in the processes of `accelerate launch`
# What torch and accelerate read to learn which of several processes they are.
RANKS = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    *("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"),
)

Work = int | Mapping[str, float] | None


def run(name: str, main: Callable[[], Work]) -> NoReturn:
    """Runs a stage and exits: with 0 when done, with 1 and one line if the user can fix an error.

    `main` returns the number of tokens it processed, other costs by name, or None; these are
    written to metrics/<name>_cost.json with seconds and memory. Any other error is a bug of ours
    and keeps its traceback.
    """
    forget_foreign_ranks()
    set_up_logging(name)
    start = time.perf_counter()
    outputs = declared_outputs(name) if is_main_process() else []
    before = stamps(outputs)
    with telling_what_is_gone(), one_line_errors(name), heartbeat():
        work = main()
        if is_main_process():
            _write_cost(name, time.perf_counter() - start, work)
    check_replaced(outputs, before)
    sys.exit(0)


def forget_foreign_ranks() -> None:
    """Drops the ranks that a job scheduler such as Slurm has set.

    A stage is one process unless `accelerate launch` has started it: with another's RANK=1 it
    would write nothing and succeed.
    """
    if LAUNCHED not in os.environ:
        for name in RANKS:
            os.environ.pop(name, None)


def set_up_logging(name: str) -> None:
    logging.basicConfig(format=f"{name}: %(message)s", handlers=[BesideBars()], force=True)
    logger.setLevel(logging.INFO if is_main_process() else logging.ERROR)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it suggests packages to install
    warnings.filterwarnings("ignore", category=FutureWarning)  # peft's, about transformers
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@contextmanager
def telling_what_is_gone() -> Iterator[None]:
    """Says how to restore the earlier outputs that DVC has removed, if the stage fails."""
    try:
        yield
    except BaseException:
        if line := removed_by_dvc():
            logger.info(line)
        raise


@contextmanager
def one_line_errors(stage: str = "") -> Iterator[None]:
    """Turns an error that the user can fix into one line on standard error and exit code 1."""
    try:
        yield
    except InputError as error:
        message = " ".join(str(error).split())
        _stop(with_undo(message) if stage else message)
    except KeyboardInterrupt:
        _stop("interrupted: run the same command again")
    except PermissionError as error:
        _stop(f"no permission to read or write {error.filename}: change its permissions")
    except Exception as error:
        if line := out_of_memory(error, stage) or _disk_failure(error):
            _stop(line)
        raise


def _disk_failure(error: Exception) -> str | None:
    """Returns the line for a full or broken disk, or None for any other error."""
    code = getattr(error, "errno", None)
    if code is None and (found := re.search(r"os error (\d+)", str(error))):
        code = int(found[1])  # safetensors and tokenizers raise no OSError
    path = getattr(error, "filename", None) or "an output"
    if code in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk for {path}"
    if code in (errno.EIO, errno.EROFS):
        return f"the disk failed for {path} ({os.strerror(code)}): check it and run this again"
    return None


def _stop(line: str) -> NoReturn:
    logger.error(line)
    sys.exit(1)


def _write_cost(name: str, elapsed_s: float, work: Work) -> None:
    from medtune.runtime.atomic_files import write_json

    torch: Any = sys.modules.get("torch")  # a stage that has not imported it did not use it
    on_gpu = torch is not None and torch.cuda.is_available()
    on_gpu = on_gpu and torch.cuda.max_memory_allocated() > 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    if on_gpu:
        peak = torch.cuda.max_memory_allocated()
    cost = {
        "elapsed_s": round(elapsed_s, 2),
        "peak_memory_gib": round(peak / 2**30, 3),
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": torch.get_num_threads() if torch is not None else 1,
    }
    if isinstance(work, Mapping):
        cost |= work
    elif work is not None:
        cost["tokens_per_s"] = round(work / elapsed_s, 1)
    write_json(METRICS / f"{name}_cost.json", cost)
