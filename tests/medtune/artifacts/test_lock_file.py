"""A dvc.lock that was cut off, at every length."""

import logging
from pathlib import Path

import pytest

from medtune.artifacts.lock_file import (
    DAMAGED,
    IN_USE,
    LOCK,
    RUNS,
    mend,
    recorded_files,
    recorded_stages,
    require_whole,
    whole_part,
)
from medtune.runtime.dvc_cache import objects
from medtune.runtime.errors import InputError

TEXT = """\
schema: '2.0'
stages:
  clean:
    cmd: python -m stages.clean
    deps:
    - path: data/raw
      hash: md5
      md5: 0123456789abcdef0123456789abcdef.dir
      size: 12
      nfiles: 1
    outs:
    - path: data/clean.parquet
      hash: md5
      md5: 1123456789abcdef0123456789abcdef
      size: 20
  train@a:
    cmd: python -m stages.train
    deps:
    - path: data/clean.parquet
      hash: md5
      md5: 1123456789abcdef0123456789abcdef
      size: 20
    params:
      params.yaml:
        train.lr: 0.001
    outs:
    - path: models/adapter
      hash: md5
      md5: 2123456789abcdef0123456789abcdef
      size: 30
    - path: metrics/train.json
      hash: md5
      md5: 3123456789abcdef0123456789abcdef
      size: 2
"""
SECOND = TEXT.index("  train@a:")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    objects.cache_clear()


def accepted_by_dvc(text: str) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import parse_yaml
    from dvc.utils.serialize._yaml import YAMLFileCorruptedError
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
    except (YAMLFileCorruptedError, Invalid):
        return False
    return True


@pytest.mark.slow
def test_what_is_kept_of_a_file_cut_at_any_length_is_accepted_by_dvc() -> None:
    counts = {"left": 0, "kept": 0, "removed": 0}
    for length in range(len(TEXT)):
        if (stages := recorded_stages(TEXT[:length])) is not None:
            assert accepted_by_dvc(TEXT[:length]), length
            outs = [out for stage in stages.values() for out in stage.get("outs", [])]
            assert all(f"md5: {out['md5']}\n" in TEXT for out in outs), "half a hash names no file"
            counts["left"] += 1
        elif kept := whole_part(TEXT[:length]):
            assert kept == TEXT[:SECOND], length
            counts["kept"] += 1
        else:
            assert length <= SECOND + 2
            counts["removed"] += 1
    assert all(counts.values()) and counts["left"] < 20, counts


@pytest.mark.parametrize("length", [0, 5, SECOND - 1, SECOND + 1, SECOND + 5, len(TEXT) - 1])
def test_a_file_that_was_cut_off_is_mended_in_place_and_kept_aside(length: int) -> None:
    LOCK.write_text(TEXT[:length])
    assert mend() and not mend()
    assert DAMAGED.read_text() == TEXT[:length]
    assert (LOCK.read_text() if LOCK.exists() else "") == whole_part(TEXT[:length])


@pytest.mark.slow
def test_the_whole_file_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    LOCK.write_text(TEXT)
    assert not mend() and not mend(thorough=True)
    assert LOCK.read_text() == TEXT and not caplog.records


@pytest.mark.slow
def test_damage_before_the_end_is_found_by_the_thorough_check() -> None:
    text = TEXT.replace("size: 12\n", 'size: "12\n')
    LOCK.write_text(text)
    assert not mend() and mend(thorough=True)
    assert whole_part(text) == "" and not LOCK.exists()


def test_mending_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    LOCK.write_text(TEXT[:-5])
    with caplog.at_level(logging.WARNING, "medtune"):
        mend()
    (line,) = caplog.messages
    assert line.startswith(
        "dvc.lock was cut off while DVC wrote it and is mended: it keeps 1 stage"
    )


@pytest.mark.slow
def test_a_merge_conflict_is_left_to_the_user() -> None:
    text = TEXT[:SECOND] + "<<<<<<< HEAD\n" + TEXT[SECOND:]
    LOCK.write_text(text)
    assert not mend() and not mend(thorough=True)
    assert LOCK.read_text() == text


def test_a_file_that_dvc_is_writing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.lock import make_lock

    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.1)
    LOCK.write_text(TEXT[:-5])
    with make_lock(".dvc/tmp/lock", tmp_dir=".dvc/tmp"):
        assert not mend()
    assert LOCK.read_text() == TEXT[:-5]


@pytest.mark.parametrize("text", ["", '{"read": {}, "wri'])
def test_a_cut_list_of_files_in_use_is_removed_and_a_whole_one_stays(text: str) -> None:
    IN_USE.write_text(text)
    mend()
    assert not IN_USE.exists()
    IN_USE.write_text('{"read": {}, "write": {}}')
    mend()
    assert IN_USE.exists()


@pytest.mark.slow
@pytest.mark.parametrize("thorough", [False, True])
def test_a_folder_of_the_run_cache_without_a_run_is_removed(
    thorough: bool, caplog: pytest.LogCaptureFixture
) -> None:
    empty, cut, whole = (RUNS / "ab" / name for name in ("empty", "cut", "whole"))
    for folder in (empty, cut, whole):
        folder.mkdir(parents=True)
    (cut / ".SZxjm3.tmp").write_text("cmd: python -m sta")
    (whole / "0123").write_text("cmd: python -m stages.clean\n")
    assert not mend(thorough)
    assert list((RUNS / "ab").iterdir()) == [whole] and (whole / "0123").is_file()
    assert len(caplog.messages) == 2 and "holds no run" in caplog.text
    assert not mend(thorough)
    assert len(caplog.messages) == 2


def test_the_outputs_are_read_alike_from_the_file_of_dvc_and_from_an_edited_one() -> None:
    expected = [
        ("data/clean.parquet", "1123456789abcdef0123456789abcdef"),
        ("models/adapter", "2123456789abcdef0123456789abcdef"),
        ("metrics/train.json", "3123456789abcdef0123456789abcdef"),
    ]
    edited = TEXT.replace("- path: models/adapter\n", "- path: 'models/adapter'\n")
    assert recorded_files(TEXT) == recorded_files(edited) == expected
    assert recorded_files(edited + "x") == []


@pytest.mark.slow
def test_a_dependency_outside_the_project_is_no_damage() -> None:
    text = TEXT.replace(
        "    - path: data/raw\n      hash: md5\n      md5: 0123456789abcdef0123456789abcdef.dir\n",
        "    - path: s3://bucket/cards.csv\n      etag: 0123abc-2\n",
    )
    assert text != TEXT and accepted_by_dvc(text)
    LOCK.write_text(text)
    assert not mend(thorough=True)
    assert LOCK.read_text() == text
    assert len(recorded_files(text)) == 3


def test_what_dvc_cannot_read_is_named_with_its_remedy() -> None:
    require_whole()  # a project that has not run
    LOCK.write_text(TEXT)
    require_whole()
    LOCK.write_text(TEXT[:SECOND] + "<<<<<<< HEAD\n" + TEXT[SECOND:])
    with pytest.raises(InputError, match="merge conflict: run `git checkout --ours "):
        require_whole()
    LOCK.write_text(TEXT.replace("cmd:", "cmd"))
    with pytest.raises(InputError, match="is damaged: run `git checkout "):
        require_whole()


@pytest.mark.slow
def test_a_folder_without_dvc_is_left_alone() -> None:
    Path(".dvc/tmp").rmdir()
    Path(".dvc").rmdir()
    LOCK.write_text(TEXT[:SECOND])
    assert not mend(thorough=True)
    assert list(Path().iterdir()) == [LOCK]
