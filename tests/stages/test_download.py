import errno
import json
import re
import sys
from pathlib import Path

import pytest

from medtune.runtime.atomic_files import replacing
from medtune.runtime.errors import InputError
from medtune.sources import fetch
from medtune.sources.conversion import write_random_llama
from stages.download import main
from tests.fetching import tree
from tests.hub_server import HubServer

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def hub(hub_server: HubServer) -> HubServer:
    hub_server.repositories["datasets/o/cards"] = {"a.csv": b"question,answer\n", "x.py": b""}
    return hub_server


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an earlier data/raw."""
    monkeypatch.chdir(tmp_path)
    with replacing(Path("data/raw")) as partial:
        partial.mkdir()
        (partial / "earlier.csv").write_text("earlier")
    return tmp_path


def download(target: str, uri: str | list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PARAMS.read_text(encoding="utf-8")
    pattern = rf"^(  {target}:) .+"
    text = re.sub(pattern, rf"\1 {json.dumps(uri)}", text, flags=re.MULTILINE)
    Path("params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["download", target])
    main()


@pytest.mark.slow
def test_files_of_several_sources_lie_in_one_folder(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine/deep").mkdir(parents=True)
    Path("mine/deep/b.csv").write_bytes(b"b")
    download("dataset", ["hub://o/cards@main", "file://mine"], monkeypatch)
    assert tree(Path("data")) == {"raw/a.csv": b"question,answer\n", "raw/deep/b.csv": b"b"}


@pytest.mark.slow
def test_sources_with_the_same_file_are_refused(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.csv").write_bytes(b"other")
    with pytest.raises(InputError, match=r"main and file://a\.csv both have a file a\.csv: rename"):
        download("dataset", ["hub://o/cards@main", "file://a.csv"], monkeypatch)
    assert tree(Path("data")) == {"raw/earlier.csv": b"earlier"}


@pytest.mark.slow
def test_model_of_a_hub_becomes_the_base_model(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_random_llama(tmp_path / "origin")
    hub.repositories["o/tiny"] = tree(tmp_path / "origin")
    download("model", "hub://o/tiny@main", monkeypatch)
    assert tree(Path("models")) == {
        f"base/{name}": content for name, content in hub.repositories["o/tiny"].items()
    }


@pytest.mark.slow
def test_choices_are_files_as_they_are_and_an_empty_folder_for_null(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own.jsonl").write_text("{}")
    download("choices_medical", "file://own.jsonl", monkeypatch)
    assert tree(Path("data/choices")) == {"medical/own.jsonl": b"{}"}
    for target in ("choices_medical", "choices_general"):
        download(target, None, monkeypatch)
    assert sorted(Path("data/choices").rglob("*")) == [
        Path("data/choices/general"),
        Path("data/choices/medical"),
    ]


def test_failed_download_leaves_the_earlier_data(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.corrupted["a.csv"] = b"question,answes\n"
    with pytest.raises(InputError, match="refused"):
        download("dataset", "hub://o/cards@main", monkeypatch)
    assert tree(Path("data")) == {"raw/earlier.csv": b"earlier"}


def test_full_disk_leaves_the_earlier_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fill(source: Path, copy: Path) -> None:
        copy.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(copy))

    (tmp_path / "cards.csv").write_text("question,answer\n")
    monkeypatch.setattr(fetch.shutil, "copyfile", fill)
    with pytest.raises(OSError, match="No space left"):
        download("dataset", "file://cards.csv", monkeypatch)
    assert tree(Path("data")) == {"raw/earlier.csv": b"earlier"}


@pytest.mark.parametrize("arguments", [[], ["models"], ["model", "dataset"]])
def test_wrong_argument_gets_one_line(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["download", *arguments])
    with pytest.raises(InputError, match="takes one of model, dataset, choices_medical, "):
        main()
