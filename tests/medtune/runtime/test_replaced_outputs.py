import os
from pathlib import Path

import pytest

from medtune.runtime.replaced_outputs import check_replaced, declared_outputs, stamps

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_outputs_of_every_stage_are_those_that_dvc_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dvc.repo import Repo

    monkeypatch.chdir(ROOT)
    with Repo(".") as repo:
        outputs = {stage.name: {out.def_path for out in stage.outs} for stage in repo.index.stages}
    assert len(outputs) == 15
    for name, paths in outputs.items():
        assert {str(path) for path in declared_outputs(name.replace("@", "_"))} == paths


@pytest.mark.slow
def test_a_folder_without_a_pipeline_and_an_unknown_stage_declare_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert declared_outputs("clean") == []
    monkeypatch.chdir(ROOT)
    assert declared_outputs("evaluate_nothing") == declared_outputs("evaluate") == []


def test_an_output_that_was_replaced_passes_and_any_other_is_named(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("file", "folder", "kept", "missing")]
    paths[1].mkdir()
    for path in (paths[0], paths[2]):
        path.write_text("same")
    before = stamps(paths)
    new = tmp_path / "new"
    new.write_text("same")
    os.utime(new, ns=(before[0][1],) * 2 if before[0] else None)
    new.replace(paths[0])
    new.mkdir()
    paths[1].rmdir()
    new.rename(paths[1])
    check_replaced(paths[:2], before[:2])
    with pytest.raises(AssertionError, match=r"kept, .*missing"):
        check_replaced(paths, before)
