"""The command on a project with two recorded outputs, and the check before other commands."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from medtune.artifacts.hashes import md5_of
from medtune.commands import verify as command
from medtune.commands.base import add, new_app
from medtune.runtime import dvc_cache
from medtune.runtime.errors import InputError

pytestmark = pytest.mark.slow

ADAPTER, SCORES = Path("models/adapter"), Path("metrics/scores.json")
HEAD = "schema: '2.0'\nstages:\n  all:\n    cmd: python stage.py\n    outs:\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dvc_cache, "objects", lambda: tmp_path / ".dvc/cache/files/md5")
    Path("params.yaml").touch()
    outs = ""
    for path in (ADAPTER, SCORES):
        path.parent.mkdir()
        path.write_text(str(path))
        outs += f"    - path: {path}\n      hash: md5\n      md5: {md5_of(path)}\n"
    Path("dvc.lock").write_text(HEAD + outs)


def commands() -> typer.Typer:
    def summary() -> None:
        print("read")

    cli = new_app("")
    add(cli, command.verify)
    add(cli, summary, reads=("metrics",))
    return cli


def test_intact_outputs_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    command.verify()
    assert capsys.readouterr().out.startswith("2 outputs and DVC's cache are what")


def test_damage_is_listed_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    SCORES.write_text("other")
    ADAPTER.unlink()
    with pytest.raises(InputError, match="2 files are damaged or missing"):
        command.verify()
    missing, other = capsys.readouterr().out.splitlines()
    assert missing == f"{ADAPTER} is missing: run dvc repro"  # DVC's cache has neither
    assert other == f"{SCORES} is not what dvc.lock recorded: run dvc repro"


def test_a_command_refuses_a_damaged_file_that_it_reads_in_one_line() -> None:
    cli = commands()
    ADAPTER.write_text("other")  # is not read
    assert CliRunner().invoke(cli, ["summary"]).stdout == "read\n"
    SCORES.write_text("other")
    refused = CliRunner().invoke(cli, ["summary"])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"summary: {SCORES} is not what dvc.lock recorded" in refused.stderr


def test_every_command_mends_a_cut_dvc_lock() -> None:
    whole = Path("dvc.lock").read_text()
    Path(".dvc/tmp").mkdir(parents=True)
    for arguments in (["summary"], ["verify", "--lock"]):
        Path("dvc.lock").write_text(whole[:-9])
        assert CliRunner().invoke(commands(), arguments).exit_code == 0
        assert not Path("dvc.lock").exists()
