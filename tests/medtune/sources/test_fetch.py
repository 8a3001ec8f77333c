import os
from pathlib import Path

import pytest

from medtune.sources.fetch import fetch
from tests.fetching import fetched, message, tree


def test_unknown_scheme_lists_the_known_ones(tmp_path: Path) -> None:
    said = message("ftp://host/file", tmp_path)
    assert "ftp://host/file" in said
    assert all(known in said for known in ("pypi://", "hub://", "file://", "https://"))
    assert "random://" not in said
    assert "random://" in message("ftp://host/file", tmp_path, "model")


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("cards/mine.csv", "file://cards/mine.csv"),
        ("mine.jsonl", "file://mine.jsonl"),
        ("./cards", "file://./cards"),
        ("/srv/cards", "file:///srv/cards"),
        ("there", "file://there"),
        ("file:cards/mine.csv", "file://cards/mine.csv"),
        ("file:/srv/cards", "file:///srv/cards"),
        ("files://cards", "file://cards"),
        ("owner/name", "hub://owner/name@main"),
        ("meta-llama/Llama-3.2-1B", "hub://meta-llama/Llama-3.2-1B@main"),
        ("owner/name@v1.0", "hub://owner/name@v1.0"),
        ("hf://owner/name@main", "hub://owner/name@main"),
        ("htps://host/file", "https://host/file"),
    ],
)
def test_what_only_lacks_its_scheme_gets_it_in_the_hint(
    uri: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    said = message(uri, tmp_path)
    assert said == f"no source of a dataset can read {uri}: did you mean {meant}?"


def test_a_file_that_a_queued_experiment_cannot_see_has_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmp1abc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert "commit the file, or give its absolute path" in message("file://mine.csv", tmp_path)
    assert "starts at the project folder" in message(f"file://{tmp_path}/mine.csv", tmp_path)


def test_random_weights_are_no_dataset(tmp_path: Path) -> None:
    assert "no source of a dataset can read" in message("random://llama?seed=0", tmp_path)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("random://llama?hidden_size=big", "hidden_size must be a whole number"),
        ("random://llama?num_hidden_layers=0", "num_hidden_layers must be a whole number"),
        ("random://mamba", "mamba"),
    ],
)
def test_random_model_names_what_is_wrong(uri: str, said: str, tmp_path: Path) -> None:
    assert said in message(uri, tmp_path, "model")


def test_local_file_and_folder_keep_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cards" / "deep").mkdir(parents=True)
    (tmp_path / "cards" / "a.csv").write_bytes(b"a")
    (tmp_path / "cards" / "deep" / "b.csv").write_bytes(b"b")
    fetch("file://cards/a.csv", "dataset", Path("one"))
    fetch(f"file://{tmp_path}/cards", "dataset", Path("all"))
    assert tree(Path("one")) == {"a.csv": b"a"}
    assert tree(Path("all")) == {"a.csv": b"a", "deep/b.csv": b"b"}


def test_missing_and_empty_local_folders_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "is missing" in message(f"file://{tmp_path}/none", tmp_path)
    assert "holds no file" in message(f"file://{tmp_path}/empty", tmp_path)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "a.csv").write_bytes(b"a")
    (cards / "inside.csv").symlink_to("a.csv")
    assert fetched(f"file://{cards}", tmp_path) == {"a.csv": b"a", "inside.csv": b"a"}
    (cards / "outside.csv").symlink_to("../secret")
    assert "outside.csv is a link to ../secret" in message(f"file://{cards}", tmp_path)


def test_folder_that_holds_the_output_is_refused(tmp_path: Path) -> None:
    assert "copied to" in message(f"file://{tmp_path}", tmp_path)


def test_links_in_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "a.csv").symlink_to("a.csv")
    assert "a.csv is a link to a.csv" in message(f"file://{tmp_path}/cards", tmp_path)
    assert "is missing" in message(f"file://{tmp_path}/cards/a.csv", tmp_path)


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    os.mkfifo(tmp_path / "cards" / "a.csv")
    assert "a.csv is a pipe" in message(f"file://{tmp_path}/cards", tmp_path)
    for name in (f"{tmp_path}/cards/a.csv", "/dev/zero"):
        assert f"{name} is a pipe, socket or device" in message(f"file://{name}", tmp_path)


def test_more_than_the_disk_holds_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(2**43)  # sparse: it takes no room itself
    assert "takes 8796.09 GB" in message(f"file://{tmp_path}/huge.csv", tmp_path)
    assert tree(tmp_path / "out") == {}


def test_a_name_that_does_not_fit_is_named(tmp_path: Path) -> None:
    name = "x" * 300
    assert "(File name too long): rename" in message(f"file://{tmp_path}/{name}", tmp_path)
    assert "is missing" in message("file://~nobody-of-this-name/cards", tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "cards" / "locked").mkdir(parents=True)
    (tmp_path / "cards" / "a.csv").touch()
    (tmp_path / "cards" / "locked").chmod(0)
    assert "locked can't be read (Permission" in message(f"file://{tmp_path}/cards", tmp_path)
