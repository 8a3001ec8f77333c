import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from medtune.runtime import paths
from medtune.sources import https
from tests.fetching import fetched, message
from tests.hub_server import HubServer, running_hub


@pytest.fixture
def server() -> Iterator[HubServer]:
    with running_hub() as hub:
        yield hub


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def page(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(https, "HTTPS_WAIT_S", 0.0)
    server.repositories["o/n"] = {"my cards.csv": bytes(range(256)) * 100}
    return f"{server.url}/o/n/resolve/main/my%20cards.csv"


@pytest.mark.slow
@pytest.mark.parametrize("reset", [False, True])
def test_dropped_connection_is_resumed(
    server: HubServer, page: str, tmp_path: Path, reset: bool
) -> None:
    server.drops["my cards.csv"], server.reset = 1000, reset
    content = server.repositories["o/n"]["my cards.csv"]
    assert fetched(f"{page}#sha256={sha256(content)}", tmp_path) == {"my cards.csv": content}
    assert reset or server.ranges == ["bytes=1000-"]


@pytest.mark.slow
def test_a_busy_server_is_asked_again_when_it_says(
    server: HubServer, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("medtune.sources.https.time.sleep", waited.append)
    server.refusals = [(429, "7"), (503, "")]
    content = server.repositories["o/n"]["my cards.csv"]
    assert fetched(f"{page}#sha256={sha256(content)}", tmp_path) == {"my cards.csv": content}
    assert waited == [7.0, 0.0]


@pytest.mark.slow
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
        assert "does not name a file" in message(f"{url}#sha256={'0' * 64}", tmp_path)


@pytest.mark.slow
def test_missing_page_and_dead_server_get_one_line(page: str, tmp_path: Path) -> None:
    wanted = f"#sha256={'0' * 64}"
    assert "404" in message(page.replace("/n/", "/gone/") + wanted, tmp_path / "1")
    assert "check the address" in message(f"http://127.0.0.1:9/a.csv{wanted}", tmp_path / "2")


def test_invalid_addresses_and_names_are_refused(tmp_path: Path) -> None:
    wanted = f"#sha256={'0' * 64}"
    assert "is not a valid address" in message(f"https://[::1/a.csv{wanted}", tmp_path)
    assert "rename it" in message(f"https://example.org/a%00.csv{wanted}", tmp_path)
    for url in ("https://example.org/..%2f..%2f..", "https://example.org/%2e%2e"):
        assert "does not name a file" in message(url + wanted, tmp_path)


@pytest.mark.slow
def test_more_than_the_disk_holds_is_refused_before_it_comes(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RESERVE_BYTES", 2**62)
    assert "takes 0.00 GB, but the disk has" in message(f"{page}#sha256={'0' * 64}", tmp_path)


@pytest.mark.slow
def test_an_endless_answer_ends_when_the_disk_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never stops sending, and a disk with room for a million bytes."""
    path = tmp_path / "out" / "a.csv"

    def disk_usage(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=paths.RESERVE_BYTES + 10**6 - path.stat().st_size)

    monkeypatch.setattr(paths.shutil, "disk_usage", disk_usage)
    with endless_server() as url:
        assert "the disk has" in message(f"{url}/a.csv#sha256={'0' * 64}", tmp_path)
    assert path.stat().st_size <= 10**6


@contextmanager
def endless_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=send_without_end, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def send_without_end(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(bytes(2**16))
