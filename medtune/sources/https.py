"""The https source: one file, resumed when the connection drops, verified by its sha256."""

import logging
import re
import time
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import httpx2

from medtune.runtime.errors import InputError
from medtune.runtime.paths import check_name, check_space
from medtune.runtime.progress import progress
from medtune.sources.checksums import check_file
from medtune.sources.retrying import HTTPS_FRUITLESS_TRIES, HTTPS_WAIT_S, may_pass, wait_s

logger = logging.getLogger("medtune")

LOOPBACK = ("127.0.0.1", "localhost")
TIMEOUT_S = 10


def fetch_url(uri: str, folder: Path) -> None:
    """Writes the file that `https://host/file#sha256=<64 hex>` names into `folder`.

    Plain http is for loopback addresses only. A file with another sha256 is refused.
    """
    url, _, fragment = uri.partition("#")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(
            f"{url} is not a valid address ({error}): write https://host/path/file"
        ) from None
    name = PurePosixPath(unquote(parts.path)).name
    expected = fragment.removeprefix("sha256=").lower()
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InputError(f"{url} is not encrypted: use https://")
    if name in ("", "..") or not parts.hostname:
        raise InputError(f"{url} does not name a file: write https://host/path/file#sha256=…")
    if not re.fullmatch("[0-9a-f]{64}", expected):
        raise InputError(
            f"{uri} has no sha256: append #sha256= and the 64 digits that `sha256sum FILE` prints"
        )
    check_name(url, name)
    folder.mkdir(parents=True)
    path = folder / name
    with path.open("wb") as file:
        _download(url, file)
    check_file(url, path, expected)


def _download(url: str, file: BinaryIO) -> None:
    """Downloads into `file` and resumes after a dropped connection."""
    fruitless = 0
    with (
        httpx2.Client(follow_redirects=True, timeout=TIMEOUT_S) as client,
        progress(unit="B", description=PurePosixPath(url).name) as bar,
    ):
        while True:
            start, wait = file.tell(), HTTPS_WAIT_S
            try:
                return _stream(client, url, file, bar)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                fruitless = 0 if file.tell() > start else fruitless + 1
                reason = (str(error) or type(error).__name__).splitlines()[0]
                if not _may_pass(error) or fruitless == HTTPS_FRUITLESS_TRIES:
                    raise InputError(
                        f"could not download {url} ({reason}): check the address and network"
                    ) from None
                bar.clear()
                logger.info("%s: %s; resuming from byte %d", url, reason, file.tell())
                if isinstance(error, httpx2.HTTPStatusError):
                    wait = wait_s(error.response.headers, HTTPS_WAIT_S)
            time.sleep(wait)


def _stream(client: httpx2.Client, url: str, file: BinaryIO, bar: Any) -> None:
    headers = {"Accept-Encoding": "identity"}
    if file.tell():
        headers["Range"] = f"bytes={file.tell()}-"
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:
            file.seek(0)
            file.truncate()
        size = int(response.headers.get("Content-Length", 0))
        folder = Path(file.name).parent
        check_space(url, size, folder)
        bar.reset(file.tell() + size or None)
        bar.update(file.tell())
        for chunk in response.iter_raw():
            check_space(url, len(chunk), folder)  # a server may send more than announced
            file.write(chunk)
            bar.update(len(chunk))


def _may_pass(error: Exception) -> bool:
    if isinstance(error, httpx2.HTTPStatusError):
        return may_pass(error.response.status_code)
    return isinstance(error, httpx2.TransportError)
