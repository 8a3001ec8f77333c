import os
from pathlib import Path

import pytest

from medtune.artifacts import hashes
from medtune.artifacts.hashes import files_of, folder_hash, md5_of, remembering


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_folder_has_the_hash_that_dvc_gives_it() -> None:
    from dvc.fs import LocalFileSystem
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB

    for name in ("a-b", "a/b", "a/c/d", "a.b", "é", "Z"):
        path = Path("folder") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = LocalFileSystem()
    store = LocalHashFileDB(files, str(Path("store").absolute()))
    _, _, tree = build(store, str(Path("folder").absolute()), files, "md5", dry_run=True)
    assert folder_hash(files_of(Path("folder"))) == tree.hash_info.value


def test_a_large_file_is_read_again_only_when_its_stamp_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashes, "LARGE_BYTES", 2)
    Path(".dvc/tmp").mkdir(parents=True)
    read: list[Path] = []
    monkeypatch.setattr(hashes, "md5_of", lambda path: read.append(path) or md5_of(path))
    path = Path("weights")
    path.write_bytes(b"abc")
    first = remembering(path)
    assert remembering(path) == first and read == [path]
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))
    assert remembering(path) == md5_of(path) != first and len(read) == 2


def test_a_damaged_memory_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "LARGE_BYTES", 2)
    Path(".dvc/tmp").mkdir(parents=True)
    hashes.STAMPS.write_text('{"weights": [1')
    Path("weights").write_bytes(b"abc")
    assert remembering(Path("weights")) == md5_of(Path("weights"))
