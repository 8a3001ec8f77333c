import sys
from pathlib import Path

import pytest

from medtune.commands.experiments import load_experiments
from medtune.commands.missing_packages import failed_import
from medtune.runtime.errors import InputError


def test_dvc_is_missed_in_the_words_for_every_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").touch()
    Path(".dvc").mkdir()
    monkeypatch.setitem(sys.modules, "dvc", None)  # as if it were not installed
    with pytest.raises(InputError) as refused:
        load_experiments(1)
    line = failed_import(ModuleNotFoundError(name="dvc.repo"))
    assert str(refused.value) == line == "the package dvc is not installed: run `make .venv/run`"


@pytest.mark.parametrize("name", [None, "app.limits", "medtune.report", "stages"])
def test_a_missing_module_of_ours_is_no_missing_package(name: str | None) -> None:
    with pytest.raises(ModuleNotFoundError):
        failed_import(ModuleNotFoundError(name=name))
