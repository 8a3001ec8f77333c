"""The API's documentation at /docs, by its answers and in Chromium."""

import json
import re
import shutil
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.api.conftest import URL

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update"


@pytest.mark.slow
def test_the_document_knows_models_and_limits_whatever_is_mounted_later(
    build: Any, spoken: Any
) -> None:
    app = build(spoken, max_messages=4, max_new_tokens=100)
    app.mount("/page", lambda *_: None)
    with TestClient(app) as client:
        document = client.get("/openapi.json").json()
        request = document["components"]["schemas"]["ChatRequest"]
        (example,) = request["examples"]
        assert client.post(URL, json=example).status_code == 200
    assert document["info"]["version"] == metadata.version("medtune")
    assert request["properties"]["model"]["enum"] == ["finetuned"]
    assert request["properties"]["messages"]["maxItems"] == 4
    assert request["properties"]["max_tokens"]["anyOf"][0]["maximum"] == 100


@pytest.mark.slow
def test_the_page_names_only_files_of_this_server(serve: Callable[..., Any], batch: Any) -> None:
    client = serve(batch, key="sesame")
    page = client.get("/docs")
    assert page.status_code == 200 and "'openapi.json'" in page.text.replace('"', "'")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"https?:|@import|url\(", page.text)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        response = client.get(f"/{file}")
        assert response.status_code == 200 and len(response.content) > 1000, file
        assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/redoc", "/docs/files/", "/docs/files/../__init__.py"])
def test_nothing_else_is_served(serve: Callable[..., Any], batch: Any, path: str) -> None:
    assert serve(batch).get(path).status_code == 404


@pytest.mark.slow
def test_the_document_says_what_needs_the_key(build: Callable[..., Any], batch: Any) -> None:
    paths = build(batch, key="sesame").openapi()["paths"]
    asking = {
        path for path, methods in paths.items() if all("security" in m for m in methods.values())
    }
    assert asking == {path for path in paths if path.startswith("/v1")} != set()
    assert "security" not in json.dumps(build(batch).openapi())


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_request_can_be_tried_with_the_key(
    build: Callable[..., Any], listen: Callable[..., Any], batch: Any, encoder: Any
) -> None:
    from playwright.sync_api import expect, sync_playwright

    batch.reply = [*encoder.answer_ids("A joint disease."), encoder.end_id]
    asked: list[str] = []
    errors: list[str] = []
    with listen(build(batch, key="sesame")) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(20_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text))
        page.goto(f"{address}/docs")
        page.get_by_role("button", name="Authorize").click()
        page.locator(".auth-container input").fill("sesame")
        page.locator(".auth-btn-wrapper .authorize").click()
        page.locator(".btn-done").click()
        block = page.locator(".opblock-post", has_text="/v1/chat/completions")
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        expect(block.locator(".live-responses-table")).to_contain_text("A joint disease.")
        browser.close()
    assert f"{address}{URL}" in asked
    assert [url for url in asked if not url.startswith((f"{address}/", "data:"))] == []
    assert errors == []
