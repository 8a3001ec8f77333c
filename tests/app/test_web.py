import http.client
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.static import BUILT, mount_web
from medtune.disclaimer import DISCLAIMER

WEB = Path(__file__).parents[2] / "app/web"
SECRET = "not for the public"


@pytest.fixture
def built(tmp_path: Path) -> FastAPI:
    """A server with a page, beside which lies a file that is not part of it."""
    (tmp_path / "secret.txt").write_text(SECRET)
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<title>medtune</title>")
    (folder / "assets/index-1.js").write_text("let a;")
    (folder / "assets/secret.txt").symlink_to(tmp_path / "secret.txt")
    app = FastAPI()
    mount_web(app, folder)
    return app


def test_a_built_page_is_served_at_web(built: FastAPI) -> None:
    client = TestClient(built)
    for path in ("/web", "/web/"):
        response = client.get(path)
        assert response.status_code == 200 and "<title>medtune</title>" in response.text
    script = client.get("/web/assets/index-1.js")
    assert "javascript" in script.headers["content-type"]  # text/ or, since Gradio, application/
    assert client.get("/web/assets/index-2.js").status_code == 404
    assert client.post("/web/").status_code == 405
    assert built.openapi()["paths"] == {}


def test_the_page_may_load_nothing_from_elsewhere(built: FastAPI) -> None:
    client = TestClient(built)
    for path in ("/web/", "/web/assets/index-1.js"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"].split("; ")
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert not any("unsafe" in part or "script-src" in part for part in policy)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"
        unchanged = client.get(path, headers={"If-None-Match": headers["etag"]})
        assert unchanged.status_code == 304


@pytest.mark.slow
def test_only_the_page_is_served(
    built: FastAPI, listen: Callable[[FastAPI], AbstractContextManager[str]]
) -> None:
    with listen(built) as address:
        for path in (
            "/web/../secret.txt",
            "/web/%2e%2e/secret.txt",
            "/web/..%2fsecret.txt",
            "/web/..%5csecret.txt",
            "/web/assets/../../secret.txt",
            "/web/assets/..%2f..%2fsecret.txt",
            "/web/assets/secret.txt",
            "/web//etc/passwd",
            "/web/%2fetc%2fpasswd",
            "/web/assets",
            "/web/a%00b",
        ):
            connection = http.client.HTTPConnection(address.removeprefix("http://"))
            connection.request("GET", path)  # as it stands
            response = connection.getresponse()
            body = response.read().decode()
            connection.close()
            assert response.status == 404, path
            assert SECRET not in body and "root:" not in body, path


@pytest.mark.parametrize("path", ["/web", "/web/", "/web/assets/index-1.js"])
def test_without_a_build_the_server_says_how_to_make_it(path: str, tmp_path: Path) -> None:
    app = FastAPI()
    mount_web(app, tmp_path)
    response = TestClient(app).get(path)
    assert response.status_code == 404
    assert response.text == "the React page is not built: run make web\n"
    assert app.openapi()["paths"] == {}


def test_the_server_offers_the_page_without_a_key(
    serve: Callable[..., TestClient], batch: Any
) -> None:
    response = serve(batch, key="sesame").get("/web")
    if BUILT.exists():
        assert response.status_code == 200 and "<title>medtune</title>" in response.text
    else:
        assert response.status_code == 404 and "make web" in response.text


def test_the_lock_names_no_host() -> None:
    lock = (WEB / "package-lock.json").read_text()
    assert '"integrity"' in lock and '"resolved"' not in lock


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
@pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="make web was not run")
@pytest.mark.parametrize("command", ["test", "build"])
def test_the_page_passes_its_own_tests(command: str, tmp_path: Path) -> None:
    options = ["--", "--outDir", str(tmp_path)] if command == "build" else []
    ran = subprocess.run(
        ["npm", "run", command, *options], cwd=WEB, capture_output=True, text=True, timeout=200
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if command == "build":
        assert (tmp_path / "index.html").is_file()
        assert any(DISCLAIMER in path.read_text() for path in tmp_path.rglob("*.js"))
