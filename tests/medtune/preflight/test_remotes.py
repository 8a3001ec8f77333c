from pathlib import Path

import pytest

from medtune.preflight import remotes
from medtune.preflight.remotes import default_remote, missing_package


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path(".dvc").mkdir()
    return Path(".dvc/config")


def test_the_default_remote_has_an_address(config: Path) -> None:
    assert default_remote() == ""
    config.write_text("[core]\n    remote = storage\n")
    assert default_remote() == ""
    config.with_name("config.local").write_text(
        "['remote \"storage\"']\n    url = ssh://lab/medtune\n"
    )
    assert default_remote() == "ssh://lab/medtune"


@pytest.mark.parametrize(
    ("address", "package"),
    [
        ("s3://bucket/medtune", "dvc-s3"),
        ("ssh://user@host/medtune", "dvc-ssh"),
        ("gs://bucket/medtune", ""),
        ("/mnt/share/medtune", ""),
    ],
)
def test_a_remote_may_need_a_package(
    address: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remotes, "find_spec", lambda name: None)
    assert missing_package(address) == package


def test_an_installed_package_is_not_missing() -> None:
    assert missing_package("s3://bucket/medtune") == ""
