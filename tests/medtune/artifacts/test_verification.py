"""Single flipped bits and truncations, in the workspace and in DVC's cache."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medtune.artifacts.hashes import files_of, folder_hash, md5_of
from medtune.artifacts.verification import (
    check_recorded,
    damaged_objects,
    damaged_outputs,
    object_path,
    recorded_outputs,
)
from medtune.runtime import dvc_cache
from medtune.runtime.errors import InputError

FILES = ("models/base/config.json", "models/base/weights", "data/cards.parquet", "metrics/a.json")
FOLDER = Path("models/base")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded outputs, one of them a folder, and their copies in the cache."""
    monkeypatch.chdir(tmp_path)
    store = tmp_path / ".dvc/cache/files/md5"
    monkeypatch.setattr(dvc_cache, "objects", lambda: store)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode() * 3)
        keep(md5_of(Path(name)), Path(name).read_bytes())
    files = files_of(FOLDER)
    listed = ", ".join(f'{{"md5": "{files[name]}", "relpath": "{name}"}}' for name in sorted(files))
    keep(folder_hash(files), f"[{listed}]".encode())
    outs = {str(FOLDER): folder_hash(files)} | {name: md5_of(Path(name)) for name in FILES[2:]}
    lines = [
        f"    - path: {path}\n      hash: md5\n      md5: {md5}\n" for path, md5 in outs.items()
    ]
    head = "schema: '2.0'\nstages:\n  all:\n    cmd: python stage.py\n    outs:\n"
    Path("dvc.lock").write_text(head + "".join(lines))


def keep(md5: str, content: bytes) -> None:
    object_path(md5).parent.mkdir(parents=True, exist_ok=True)
    object_path(md5).write_bytes(content)


def flip(path: Path, bit: int) -> None:
    """Flips a bit and leaves the times as they were, as a failing disk does."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncate(path: Path, bit: int) -> None:
    os.truncate(path, bit // 8)


def found() -> list[str]:
    outputs = recorded_outputs()
    return [*damaged_outputs(outputs), *damaged_objects(outputs)]


def test_intact_files_are_silent() -> None:
    assert len(recorded_outputs()) == 3
    assert found() == []
    check_recorded("models", "data", "metrics")


@pytest.mark.slow
@pytest.mark.parametrize("break_it", [flip, truncate])
def test_flipped_bits_and_truncations_of_every_output_are_named(
    break_it: Callable[[Path, int], None],
) -> None:
    for name in FILES:
        intact = Path(name).read_bytes()
        for bit in range(0, 8 * len(intact), 37):
            break_it(Path(name), bit)
            (line,) = found()
            assert line.startswith(f"{name} is not what dvc.lock recorded: run rm -r ")
            with pytest.raises(InputError, match=f"{name} is not what dvc.lock recorded"):
                check_recorded("models", "data", "metrics")
            Path(name).write_bytes(intact)


@pytest.mark.slow
def test_flipped_bits_of_every_file_in_the_cache_are_named() -> None:
    paths = [path for path in dvc_cache.objects().rglob("*") if path.is_file()]
    assert len(paths) == 5
    for path in paths:
        intact = path.read_bytes()
        for bit in range(0, 8 * len(intact), 37):
            flip(path, bit)
            (line,) = found()
            assert line.startswith(f"{path.relative_to(Path.cwd())} is damaged: run rm -f ")
            path.write_bytes(intact)


def test_a_command_checks_only_what_it_reads() -> None:
    flip(Path("data/cards.parquet"), 0)
    check_recorded("models", "metrics/a.json")
    with pytest.raises(InputError, match="run rm -r data"):
        check_recorded("data")


def test_the_remedy_for_the_copy_of_an_experiment_does_not_change_the_workspace() -> None:
    copy = Path("copy")
    for name in ("dvc.lock", "data/cards.parquet"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(Path(name).read_bytes())
    flip(copy / "data/cards.parquet", 0)
    remedy = "run medtune verify, which names the damaged file"
    with pytest.raises(InputError, match=f"data/cards.parquet is not .*: {remedy}"):
        check_recorded("data", root=copy)


def test_a_missing_output_is_named_by_verify_and_left_to_its_reader_by_commands() -> None:
    Path("metrics/a.json").unlink()
    assert found() == ["metrics/a.json is missing: run dvc checkout metrics/a.json, or dvc repro"]
    check_recorded("metrics")


def test_a_file_that_was_added_to_a_folder_is_named() -> None:
    (FOLDER / "extra").touch()
    (line,) = found()
    assert line.startswith("models/base/extra is not what")


def test_without_a_lock_file_nothing_is_recorded() -> None:
    Path("dvc.lock").unlink()
    check_recorded("models")
    assert recorded_outputs() == []
