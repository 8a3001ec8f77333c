"""Writes checkpoints of a run atomically, outside the outputs, and checks them on reading.

A run's folder holds `step-00000040/` and so on, each with tensors.safetensors, state.json and,
written last, manifest.json with the size and sha256 of the other two. What a killed process leaves
half done has a name that begins with a dot, or does not match its manifest. All runs share one
lock, so that two processes with the same settings can run at once; it ends with its holder. What
runs share a folder is decided in stages/train.py.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medtune.runtime.atomic_files import scratch

if TYPE_CHECKING:  # medtune check reads this without torch
    import torch

logger = logging.getLogger("medtune")

KEPT = 2  # of a run; older checkpoints are removed
TENSORS, STATE, MANIFEST = "tensors.safetensors", "state.json", "manifest.json"


class Checkpoints:
    """The checkpoints of one training run: the newest `keep`, in the run's own folder."""

    def __init__(self, folder: Path, keep: int = KEPT) -> None:
        self.folder, self.keep = folder, keep

    def save(self, step: int, tensors: "dict[str, torch.Tensor]", state: dict[str, Any]) -> None:
        """Writes a checkpoint so that it survives a power cut; replaces one of the same step.

        `state` must fit into JSON, without NaN and infinity; its floats come back exactly.
        """
        from safetensors.torch import save_file

        text = json.dumps(state, allow_nan=False)
        target = self.folder / f"step-{step:08d}"
        with _lock(self.folder.parent):
            self._tidy()
            self.folder.mkdir(exist_ok=True)
            with scratch(target) as temporary:
                temporary.mkdir()
                save_file(_storable(tensors), temporary / TENSORS)
                (temporary / STATE).write_text(text, encoding="utf-8")
                seals = {name: _seal(temporary / name) for name in (TENSORS, STATE)}
                (temporary / MANIFEST).write_text(json.dumps(seals), encoding="utf-8")
                for path in (*(temporary / name for name in (*seals, MANIFEST)), temporary):
                    _flush(path)
                if target.exists():
                    _remove(target)
                temporary.rename(target)
            _flush(self.folder)
            for old in self._steps()[: -self.keep]:
                _remove(old)

    def latest(self) -> "tuple[int, dict[str, torch.Tensor], dict[str, Any]] | None":
        """Returns step, tensors (on the CPU) and state of the newest intact checkpoint, if any.

        A damaged checkpoint is logged and removed, so that it does not count among those to keep.
        """
        from safetensors.torch import load

        with _lock(self.folder.parent):
            self._tidy()
            for path in reversed(self._steps()):
                if damage := _damage(path):
                    logger.warning(f"checkpoint {path.name} is skipped and removed: {damage}")
                    _remove(path)
                    continue
                os.utime(self.folder)  # marks it as in use, for `prune`
                tensors = load((path / TENSORS).read_bytes())
                return int(path.name[5:]), tensors, json.loads((path / STATE).read_bytes())
        return None

    def clear(self) -> None:
        """Removes the folder, once the run is over."""
        with _lock(self.folder.parent):
            if self.folder.exists():
                shutil.rmtree(self.folder)

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _tidy(self) -> None:
        """Removes what a killed process left half written or half removed."""
        for path in self.folder.glob(".step-*"):
            shutil.rmtree(path)


def project_root() -> Path:
    """Returns the project's folder; for a queued experiment, the original project's.

    DVC runs queued experiments in temporary copies below .dvc/tmp/exps/, and in another copy when
    a killed experiment is queued again.
    """
    folder = Path.cwd()
    copies = (p.parents[2] for p in folder.parents if p.parts[-3:] == (".dvc", "tmp", "exps"))
    return next(copies, folder)


def checkpoint_root() -> Path:
    return project_root() / "checkpoints"


def fingerprint(values: dict[str, Any], files: Iterable[Path]) -> str:
    """Returns a hash of 16 hexadecimal digits of the values and of the files' names and contents.

    Names are relative to the working directory, so that a copy of the project has the same hash.
    """
    contents = {os.path.relpath(path): _seal(path) for path in files}
    text = json.dumps([values, contents], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prune(root: Path, days: float = 14) -> None:
    """Removes the folders of abandoned runs, which were untouched for this many days."""
    if not root.exists():
        return
    with _lock(root):
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            if time.time() - folder.stat().st_mtime > days * 86400:
                logger.info(f"removed the checkpoints of {folder.name}, older than {days:g} days")
                shutil.rmtree(folder)


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Waits until no other process reads or writes checkpoints below `root`."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _storable(tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Returns contiguous tensors on the CPU, each with its own storage, as safetensors requires."""
    result, seen = {}, set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    return result


def _damage(path: Path) -> str | None:
    """Returns what is wrong with a checkpoint, or None if it is intact."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        found = {name: _seal(path / name) for name in (TENSORS, STATE)}
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except ValueError:
        return f"{MANIFEST} is not JSON"
    return None if manifest == found else f"its files do not match its {MANIFEST}"


def _seal(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": sha256}


def _flush(path: Path) -> None:
    """Forces a file's contents, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Renames a checkpoint before deleting it, so that no half-deleted one looks intact."""
    hidden = path.with_name(f".{path.name}.removed")
    path.rename(hidden)
    shutil.rmtree(hidden)
