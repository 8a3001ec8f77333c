import errno
import json
import logging
import os
from pathlib import Path

import pytest

from medtune.runtime import dvc_cache, stage
from medtune.runtime.errors import InputError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failing(error: BaseException) -> None:
    def main() -> None:
        raise error

    stage.run("clean", main)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("train.lr must be\n greater than 0"), "train.lr must be greater than 0"),
        (KeyboardInterrupt(), "interrupted: run the same command again"),
        (OSError(errno.ENOSPC, "full", "data/raw/x"), "no space left on the disk for data/raw/x"),
        (OSError(errno.EIO, "broken", "data/x"), "the disk failed for data/x (Input/output error)"),
        (RuntimeError("No space left (os error 28)"), "no space left on the disk for an output"),
        (PermissionError(13, "denied", "data/raw/x"), "no permission to read or write data/raw/x"),
    ],
)
def test_an_error_that_the_user_can_fix_is_one_line_and_exit_code_1(
    error: BaseException, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        failing(error)
    assert caught.value.code == 1
    printed = capfd.readouterr().err
    assert printed.startswith(f"clean: {line}")
    assert printed.count("\n") == 1
    assert not Path("metrics").exists()


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_a_stage_that_is_done_leaves_its_cost() -> None:
    with pytest.raises(SystemExit) as caught:
        stage.run("train", lambda: 1000)
    assert caught.value.code == 0
    cost = json.loads(Path("metrics/train_cost.json").read_text())
    assert set(cost) == {"device", "elapsed_s", "peak_memory_gib", "threads", "tokens_per_s"}
    assert 0 < cost["peak_memory_gib"] < 50


@pytest.mark.parametrize(("launched", "writes"), [(False, True), (True, False)])
def test_only_ranks_of_the_launcher_keep_a_stage_from_writing(
    launched: bool, writes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.setenv(name, "1")
    if launched:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(SystemExit):
        stage.run("clean", lambda: None)
    assert Path("metrics/clean_cost.json").exists() == writes
    assert ("LOCAL_RANK" in os.environ) == ("OMPI_COMM_WORLD_RANK" in os.environ) == launched


def test_a_stage_can_report_its_own_costs() -> None:
    with pytest.raises(SystemExit):
        stage.run("guard", lambda: {"question_ms": 2.5})
    cost = json.loads(Path("metrics/guard_cost.json").read_text())
    assert cost["question_ms"] == 2.5 and "tokens_per_s" not in cost


def test_log_lines_name_the_stage(capfd: pytest.CaptureFixture[str]) -> None:
    stage.set_up_logging("split")
    logging.getLogger("medtune").info("done")
    assert capfd.readouterr().err == "split: done\n"


def test_a_stage_that_leaves_an_output_as_it_was_fails() -> None:
    Path("dvc.yaml").write_text("stages: {clean: {outs: [out.csv, metrics/clean_cost.json]}}")
    Path("out.csv").write_text("of an earlier run")
    with pytest.raises(AssertionError, match=r"ended without writing out\.csv"):
        stage.run("clean", lambda: None)
    with pytest.raises(SystemExit) as caught:
        stage.run("clean", lambda: Path("out.csv").write_text("of this run") and None)
    assert caught.value.code == 0


@pytest.mark.parametrize(
    ("in_cache", "here", "restorable"),
    [
        (True, False, True),
        (False, False, False),  # in a new clone, which never had them
        (True, True, False),  # as DVC keeps outputs that persist
    ],
)
def test_a_failed_stage_says_how_outputs_come_back_that_only_the_cache_has(
    in_cache: bool, here: bool, restorable: bool,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(dvc_cache, "objects", lambda: tmp_path)
    monkeypatch.setenv("DVC_STAGE", "clean")
    Path("dvc.lock").write_text("stages: {clean: {cmd: x, outs: [{path: out.csv, md5: ab12}]}}")
    if in_cache:
        cached = dvc_cache.object_path("ab12")
        cached.parent.mkdir()
        cached.touch()
    if here:
        Path("out.csv").touch()
    with pytest.raises(SystemExit):
        failing(InputError("no data"))
    error, *remedy = capfd.readouterr().err.splitlines()
    assert error == "clean: no data" and len(remedy) == restorable
    assert all("dvc checkout brings them back" in line for line in remedy)
