"""A model hub on loopback that takes uploads: repositories, large files by Git LFS, commits."""

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.hub_server import LFS_SUFFIXES, git_sha1
from tests.loopback_server import Handler, served

LFS = (*LFS_SUFFIXES, ".gguf")
TOKEN = "hf_test"
READ_ONLY = "hf_read"  # a token that may not write


@dataclass
class Repository:
    kind: str
    private: bool
    sdk: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class UploadServer:
    """`breaks` of the next transfers of large files end in the middle."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # large files by sha256
    part_bytes: int | None = None  # larger files are sent in parts of this size
    breaks: int = 0
    received: list[str] = field(default_factory=list)  # method and path of each request
    parts: dict[tuple[str, int], bytes] = field(default_factory=dict)


@contextmanager
def running_upload_hub() -> Iterator[UploadServer]:
    hub = UploadServer()
    with served(_Handler, hub=hub) as hub.url:
        yield hub


class _Handler(Handler):
    hub: UploadServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        """Stores a large file or a part of it; the address alone is the permission."""
        self.hub.received.append(f"PUT {self.path}")
        if self.hub.breaks:
            self.hub.breaks -= 1
            self.rfile.read(4)
            self.close_connection = True
            return
        _, _, oid, part = self.path.split("/")
        self.hub.parts[oid, int(part)] = content = self._body()
        if part == "0":
            self._store(oid, content)
        self._send({}, headers={"ETag": f'"{hashlib.md5(content).hexdigest()}"'})

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        self.hub.received.append(f"{self.command} {path}")
        body = self._body()
        if path.startswith("/lfs/complete/"):
            return self._complete(path.rpartition("/")[2], json.loads(body))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_ONLY):
            return self._fail(401, "Invalid credentials in Authorization header")
        if token == READ_ONLY:
            return self._fail(403, "Forbidden: you don't have the rights")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._send({"warnings": [], "errors": []})
        if path == "/lfs/verify":
            asked = json.loads(body)
            return self._send({}, 200 if asked["oid"] in self.hub.stored else 404)
        self._about_a_repository(path, body)

    def _about_a_repository(self, path: str, body: bytes) -> None:
        found = re.fullmatch(r"/api/(model|space)s/([^/]+/[^/]+)(?:/(\w+)/main)?", path)
        batch = re.fullmatch(r"/(?:spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path)
        name = batch[1] if batch else found[2] if found else ""
        repository = self.hub.repositories.get(name)
        if repository is None or (found and found[1] != repository.kind):
            return self._fail(404, "Repository not found", "RepoNotFound")
        if batch:
            return self._batch(json.loads(body))
        verb = found[3] if found else None
        if verb == "preupload":
            return self._preupload(repository, json.loads(body))
        if verb == "commit":
            return self._commit(name, repository, [json.loads(line) for line in body.splitlines()])
        siblings = [{"rfilename": each} for each in repository.files]
        about = {"id": name, "private": repository.private, "siblings": siblings}
        self._send(about | {"sha": repository.commits[-1] if repository.commits else "0" * 40})

    def _create(self, asked: dict[str, Any]) -> None:
        name, kind = f"{asked['organization']}/{asked['name']}", asked.get("type", "model")
        url = f"{self.hub.url}/{'spaces/' if kind == 'space' else ''}{name}"
        if name in self.hub.repositories:
            return self._send({"url": url, "error": "You already created this repo"}, 409)
        private = asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(kind, private, asked.get("sdk"))
        self._send({"url": url})

    def _preupload(self, repository: Repository, asked: dict[str, Any]) -> None:
        files = []
        for file in asked["files"]:
            path, oid = file["path"], None
            lfs = path.endswith(LFS)
            if path in repository.files:
                content = repository.files[path]
                oid = hashlib.sha256(content).hexdigest() if lfs else git_sha1(content)
            mode = "lfs" if lfs else "regular"
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._send({"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for wanted in asked["objects"]:
            oid, size, part = wanted["oid"], wanted["size"], self.hub.part_bytes
            answer = {"oid": oid, "size": size}
            if oid not in self.hub.stored:
                upload: dict[str, Any] = {"href": f"{self.hub.url}/lfs/{oid}/0"}
                if part and size > part:
                    numbers = range(1, -(-size // part) + 1)
                    header = {str(n): f"{self.hub.url}/lfs/{oid}/{n}" for n in numbers}
                    header["chunk_size"] = str(part)
                    upload = {"href": f"{self.hub.url}/lfs/complete/{oid}", "header": header}
                verify = {"href": f"{self.hub.url}/lfs/verify"}
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        self._send({"transfer": "basic", "objects": objects})

    def _complete(self, oid: str, asked: dict[str, Any]) -> None:
        numbers = [part["partNumber"] for part in asked["parts"]]
        self._store(oid, b"".join(self.hub.parts[oid, n] for n in numbers))
        self._send({})

    def _store(self, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() == oid:
            self.hub.stored[oid] = content

    def _commit(self, name: str, repository: Repository, lines: list[dict[str, Any]]) -> None:
        header, *operations = lines
        files = {}
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = b64decode(value["content"])
            elif value["oid"] in self.hub.stored:
                files[value["path"]] = self.hub.stored[value["oid"]]
            else:
                return self._fail(400, f"{value['path']} was not uploaded")
        repository.files |= files
        repository.commits.append(hashlib.sha1(repr(sorted(files)).encode()).hexdigest())
        kind = "spaces/" if repository.kind == "space" else ""
        url = f"{self.hub.url}/{kind}{name}/commit/{repository.commits[-1]}"
        self._send({"commitUrl": url, "commitOid": repository.commits[-1], "success": True})
        assert header["key"] == "header"

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        content = b""
        while self.headers.get("Transfer-Encoding") == "chunked":
            size = int(self.rfile.readline(), 16)
            content += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                break
        return content

    def _fail(self, status: int, message: str, code: str = "") -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send({"error": message}, status, headers)

    def _send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Type": "application/json", **(headers or {})}
        self.answer(status, json.dumps(content).encode(), headers)
