import errno
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from medtune.training import checkpoints
from medtune.training.checkpoints import Checkpoints, checkpoint_root, fingerprint, prune

NAMES = ["manifest.json", "state.json", "tensors.safetensors"]


def tensors(step: int = 0) -> dict[str, torch.Tensor]:
    grid = torch.arange(12, dtype=torch.float32).reshape(3, 4) + step
    return {
        "fp32": grid,
        "shared": grid[1:],
        "transposed": grid.T,
        "bf16": grid.bfloat16(),
        "fp16": grid.half(),
        "random_state": torch.get_rng_state(),
        "step": torch.tensor(step),
        "empty": torch.empty(0),
        "trained": torch.nn.Parameter(torch.ones(2)),
    }


def saved(folder: Path, *steps: int, keep: int = 2) -> Checkpoints:
    storage = Checkpoints(folder, keep)
    for step in steps:
        storage.save(step, tensors(step), {"loss": step / 3})
    return storage


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_comes_back_exactly(tmp_path: Path) -> None:
    state = {"loss": 0.1 + 0.2, "points": [["train", 5, 1e-300]], "best": None, "unit": "ä"}
    Checkpoints(tmp_path / "all" / "run").save(7, tensors(7), state)
    found = Checkpoints(tmp_path / "all" / "run").latest()
    assert found is not None
    step, loaded, loaded_state = found
    assert (step, loaded_state) == (7, state)
    assert loaded.keys() == tensors(7).keys()
    for name, tensor in tensors(7).items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        assert torch.equal(loaded[name], tensor), name
    loaded["fp32"] += 1  # neither read-only nor tied to the file


def test_the_newest_are_kept_and_the_last_counts(tmp_path: Path) -> None:
    storage = saved(tmp_path / "run", 1, 2, 10)
    assert names(tmp_path / "run") == ["step-00000002", "step-00000010"]
    assert names(tmp_path / "run/step-00000010") == NAMES
    found = storage.latest()
    assert found is not None
    assert (found[0], found[2]) == (10, {"loss": 10 / 3})


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    storage = Checkpoints(tmp_path / "run")
    assert storage.latest() is None
    storage.clear()
    saved(tmp_path / "run", 1).clear()
    assert not (tmp_path / "run").exists()


def test_a_step_may_be_saved_again(tmp_path: Path) -> None:
    storage = saved(tmp_path / "run", 1, 2)
    storage.save(2, {}, {"again": True})
    found = storage.latest()
    assert found == (2, {}, {"again": True})
    assert names(tmp_path / "run") == ["step-00000001", "step-00000002"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_checkpoint_is_skipped_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, harm: Any
) -> None:
    storage = saved(tmp_path / "run", 1, 2)
    harm(tmp_path / "run/step-00000002" / name)
    with caplog.at_level(logging.WARNING, "medtune"):
        found = storage.latest()
    assert found is not None and found[0] == 1
    (line,) = caplog.messages
    assert line.startswith("checkpoint step-00000002 is skipped and removed: ")
    assert name in line or "its files do not match its manifest.json" in line


def test_a_damaged_checkpoint_does_not_push_out_a_whole_one(tmp_path: Path) -> None:
    storage = saved(tmp_path / "run", 10, 20)
    for step in (10, 20):
        cut(tmp_path / f"run/step-000000{step}/state.json")
    assert storage.latest() is None
    storage.save(5, {}, {})
    assert storage.latest() == (5, {}, {})


def start(function: Any, dies_at: int | None = None) -> int:
    """Starts `function` in a process that kills itself with -9 at its n-th change of the disk."""
    child = os.fork()
    if child == 0:
        changes = 0

        def count(event: str, _: Any) -> None:
            nonlocal changes
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
                if changes == dies_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                changes += 1

        try:
            sys.addaudithook(count)
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
def test_a_kill_at_any_moment_of_a_save_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path / "run", 1, 2)
    ends = []
    for moment in range(60):
        folder = shutil.copytree(tmp_path / "run", tmp_path / str(moment))
        child = start(lambda: saved(folder, 3), dies_at=moment)  # noqa: B023
        ends.append(exit_code(child))
        found = Checkpoints(folder).latest()
        assert found is not None and found[0] in (2, 3)
        assert found[2] == {"loss": found[0] / 3}
        assert torch.equal(found[1]["fp32"], tensors(found[0])["fp32"])
        assert all(name.startswith("step-") for name in names(folder))
        saved(folder, 3)
        assert names(folder) == ["step-00000002", "step-00000003"]
        if ends[-1] == 0:
            break
    assert len(ends) > 15
    assert ends == [-signal.SIGKILL] * (len(ends) - 1) + [0]


def test_a_full_disk_is_said_and_leaves_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    storage = saved(tmp_path / "run", 1, 2)
    monkeypatch.setattr(checkpoints, "_flush", full)
    with pytest.raises(OSError, match="No space left"):
        storage.save(3, tensors(), {})
    assert names(tmp_path / "run") == ["step-00000001", "step-00000002"]


def test_nan_in_the_state_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Checkpoints(tmp_path / "run").save(1, {}, {"loss": float("nan")})
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_with_the_same_settings_do_not_disturb_each_other(tmp_path: Path) -> None:
    def work() -> None:
        storage = Checkpoints(tmp_path / "run")
        for step in range(30):
            storage.save(step, tensors(step), {})
            found = storage.latest()
            assert found is None or torch.equal(found[1]["fp32"], tensors(found[0])["fp32"])
            if step % 10 == 9:
                storage.clear()

    children = [start(work) for _ in range(3)]
    assert [exit_code(child) for child in children] == [0, 0, 0]
    assert names(tmp_path) == [".lock"]


@pytest.mark.parametrize(
    ("folder", "root"),
    [
        ("project", "project"),
        ("project/.dvc/tmp/exps/tmpabc", "project"),
        ("project/.dvc/tmp/exps/standalone/tmpabc", "project"),
        ("repository/.dvc/tmp/exps/tmpabc/project", "repository"),
        ("exps/tmp", "exps/tmp"),
    ],
)
def test_a_queued_experiment_uses_the_folder_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, root: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    assert checkpoint_root() == tmp_path / root / "checkpoints"


def test_a_fingerprint_depends_on_values_names_and_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    for place, content in (("one", "a"), ("two", "a"), ("three", "b")):
        (tmp_path / place / "data").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / place)
        for name in ("x", "y"):
            Path("data", name).write_text(content + name)
        first = fingerprint({"lr": 0.1, "r": 8}, [Path("data/x"), Path("data/y")])
        same = fingerprint({"r": 8, "lr": 0.1}, [Path("data/y").absolute(), Path("data/x")])
        assert first == same
        assert len(first) == 16
        found.add(first)
    assert len(found) == 2
    assert fingerprint({"r": 8}, [Path("data/x")]) != fingerprint({"r": 9}, [Path("data/x")])
    Path("data/z").write_text("bx")
    assert fingerprint({}, [Path("data/x")]) != fingerprint({}, [Path("data/z")])


def test_runs_that_were_given_up_are_pruned(tmp_path: Path) -> None:
    root = tmp_path / "checkpoints"
    prune(root)
    assert not root.exists()
    for name in ("old", "resumed", "new"):
        saved(root / name, 1)
    for name in ("old", "resumed"):
        os.utime(root / name, (0, time.time() - 15 * 86400))
    Checkpoints(root / "resumed").latest()
    prune(root)
    assert names(root) == [".lock", "new", "resumed"]
