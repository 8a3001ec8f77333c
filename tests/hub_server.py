"""A model hub on loopback: what huggingface_hub asks of one, with failures on demand."""

import hashlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.loopback_server import Handler, served

LFS_SUFFIXES = (".safetensors", ".parquet", ".bin")


@dataclass
class HubServer:
    """Repositories by their path in the hub's addresses: "owner/name", "datasets/owner/name"."""

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    # Repository -> status and error code that its files are refused with.
    closed: dict[str, tuple[int, str]] = field(default_factory=dict)
    # File path -> bytes that are sent in place of the true ones.
    corrupted: dict[str, bytes] = field(default_factory=dict)
    # File path -> bytes after which the connection breaks, once; `reset` breaks it the hard way.
    drops: dict[str, int] = field(default_factory=dict)
    reset: bool = False
    # Status and Retry-After with which the next requests for files are refused, each once.
    refusals: list[tuple[int, str]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)  # files of which something was sent

    def commit(self, repository: str) -> str:
        content = repr(sorted(self.repositories[repository].items())).encode()
        return hashlib.sha1(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def running_hub() -> Iterator[HubServer]:
    hub = HubServer()
    with served(_Handler, hub=hub) as hub.url:
        yield hub


class _Handler(Handler):
    hub: HubServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/").removeprefix("api/")
        path = path.removeprefix("models/")
        for verb in ("revision", "tree", "resolve", "paths-info"):
            repository, found, rest = path.partition(f"/{verb}/")
            if found:
                return self._answer_about(repository, verb, *rest.split("/", 1))
        self._fail(404, "NoSuchRoute")

    def _answer_about(self, repository: str, verb: str, revision: str, path: str = "") -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            return self._fail(404, "RepoNotFound")
        if revision not in ("main", self.hub.commit(repository)):
            return self._fail(404, "RevisionNotFound")
        if verb == "revision":
            siblings = [_sibling(name, content) for name, content in files.items()]
            about = {"id": repository, "sha": self.hub.commit(repository), "siblings": siblings}
            return self._send(json.dumps(about).encode())
        if verb == "tree":
            return self._send(json.dumps([_tree_entry(*item) for item in files.items()]).encode())
        if verb == "paths-info":
            known = [name for name in self.asked["paths"] if name in files]
            return self._send(json.dumps([_tree_entry(n, files[n]) for n in known]).encode())
        if self.hub.refusals:
            status, wait = self.hub.refusals.pop(0)
            return self._send(b"{}", status, {"Retry-After": wait})
        if repository in self.hub.closed:
            return self._fail(*self.hub.closed[repository])
        self._send_file(files[path], path, self.hub.commit(repository))

    def _send_file(self, content: bytes, path: str, commit: str) -> None:
        lfs = path.endswith(LFS_SUFFIXES)
        etag = hashlib.sha256(content).hexdigest() if lfs else git_sha1(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if lfs:
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        content = self.hub.corrupted.get(path, content)
        start = 0
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append(wanted)
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, size = int(first), len(content)
            content = content[: int(last) + 1 if last else size]
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{size}"
        drop = self.hub.drops.pop(path, None) if self.command == "GET" else None
        if self.command == "GET":
            self.hub.read.add(path)
        self._send(content[start:], 206 if wanted else 200, headers, drop)

    def _fail(self, status: int, code: str) -> None:
        self._send(b"{}", status, {"X-Error-Code": code})

    def _send(
        self,
        body: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        drop_after: int | None = None,
    ) -> None:
        headers = {"Content-Length": str(len(body)), **(headers or {})}
        self.answer(status, body[:drop_after], headers)
        if drop_after is not None:
            self.close_connection = True
            if self.hub.reset:
                # Closed without lingering, a socket sends RST in place of FIN.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                os.close(self.connection.detach())


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
    if name.endswith(LFS_SUFFIXES):
        sha256 = hashlib.sha256(content).hexdigest()
        entry |= {"lfs": {"sha256": sha256, "size": len(content), "pointerSize": 130}}
    return entry


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(content), "oid": git_sha1(content)}
    if name.endswith(LFS_SUFFIXES):
        sha256 = hashlib.sha256(content).hexdigest()
        entry |= {"lfs": {"oid": sha256, "size": len(content), "pointerSize": 130}}
    return entry
