import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from medtune import source_https
from medtune.errors import InputError
from medtune.source_https import fetch_url
from tests.hub_server import HubServer, running_hub


@pytest.fixture
def server() -> Iterator[HubServer]:
    with running_hub() as hub:
        yield hub


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def fetched(uri: str, tmp_path: Path) -> dict[str, bytes]:
    fetch_url(uri, tmp_path / "out")
    return tree(tmp_path / "out")


def message(uri: str, tmp_path: Path) -> str:
    with pytest.raises(InputError) as caught:
        fetch_url(uri, tmp_path / "out")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def page(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(source_https, "RETRY_WAIT_S", 0.0)
    server.repositories["o/n"] = {"my cards.csv": bytes(range(256)) * 100}
    return f"{server.url}/o/n/resolve/main/my%20cards.csv"


def test_url_is_fetched_when_its_sha256_fits(server: HubServer, page: str, tmp_path: Path) -> None:
    content = server.repositories["o/n"]["my cards.csv"]
    assert fetched(f"{page}#sha256={sha256(content)}", tmp_path) == {"my cards.csv": content}


@pytest.mark.parametrize("reset", [False, True])
def test_dropped_connection_is_resumed(
    server: HubServer, page: str, tmp_path: Path, reset: bool
) -> None:
    server.drops["my cards.csv"], server.reset = 1000, reset
    content = server.repositories["o/n"]["my cards.csv"]
    assert fetched(f"{page}#sha256={sha256(content)}", tmp_path) == {"my cards.csv": content}
    assert reset or server.ranges == ["bytes=1000-"]


def test_wrong_sha256_is_refused_with_both(server: HubServer, page: str, tmp_path: Path) -> None:
    found = sha256(server.repositories["o/n"]["my cards.csv"])
    said = message(f"{page}#sha256={'0' * 64}", tmp_path)
    assert found in said
    assert "0" * 64 in said


def test_url_without_sha256_says_how_to_add_it(tmp_path: Path) -> None:
    assert "append #sha256=" in message("https://example.org/a.csv", tmp_path)


def test_plain_http_is_for_loopback_only(tmp_path: Path) -> None:
    assert "use https://" in message(f"http://example.org/a.csv#sha256={'0' * 64}", tmp_path)


def test_url_without_a_file_is_refused(tmp_path: Path) -> None:
    for url in ("https://example.org/", "https:///a.csv", "https://example.org/x/.."):
        assert "names no file" in message(f"{url}#sha256={'0' * 64}", tmp_path)


def test_missing_page_and_dead_server_get_one_line(page: str, tmp_path: Path) -> None:
    wanted = f"#sha256={'0' * 64}"
    assert "404" in message(page.replace("/n/", "/gone/") + wanted, tmp_path / "1")
    assert "check address" in message(f"http://127.0.0.1:9/a.csv{wanted}", tmp_path / "2")
