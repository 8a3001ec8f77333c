"""The page as it is mounted in the server."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import NoneType
from typing import Any
from urllib.request import urlopen

import pytest
from fastapi.testclient import TestClient

from app.gradio_page.conversations import Conversations
from app.gradio_page.layout import build_page
from app.gradio_page.mounting import mount_page
from app.gradio_page.nearest_cards import NearestCards
from app.gradio_page.request_filter import PageFilter, events_of
from medtune.disclaimer import DISCLAIMER

pytestmark = pytest.mark.slow

JOIN = "/gradio_api/queue/join"


@pytest.fixture
def serve_page(
    build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., TestClient]]:
    """Starts a server with the page, in an empty project."""
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def served(*batches: Any, page_key: str | None = None, **settings: Any) -> TestClient:
            app = build(*batches, **settings)
            mount_page(app, app.state.assistant, page_key)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield served


def test_the_page_and_the_api_share_the_server(serve_page: Any, batch: Any) -> None:
    client = serve_page(batch, batch)
    page = client.get("/")
    assert page.status_code == 200 and DISCLAIMER in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/health", "/ready", "/docs", "/openapi.json", "/v1/models"):
        assert client.get(path).status_code == 200, path
    assert "content-security-policy" not in client.get("/v1/models").headers
    for method in ("POST", "TRACE", "DELETE", "QUERY"):
        response = client.request(method, "/health")
        assert (response.status_code, response.headers["allow"]) == (405, "GET")


UNNEEDED = (
    ("POST", "/gradio_api/upload"),
    ("GET", "/gradio_api/file=params.yaml"),
    ("GET", "/gradio_api/file/params.yaml"),
    ("GET", "/gradio_api/proxy=http://example.com/x"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/openapi.json"),
    ("GET", "/gradio_api/runs"),
    ("POST", "/gradio_api/run/predict"),
    ("POST", "/gradio_api/api/predict"),
    ("POST", "/gradio_api/call/chat"),
    ("POST", "/gradio_api/component_server"),
    ("GET", "/gradio_api/app_id"),
    ("GET", "/gradio_api/token"),
    ("GET", "/monitoring"),
    ("GET", "/config"),
    ("GET", "/v1/nothing"),
    ("GET", "/nothing"),
)


def test_what_the_page_does_not_need_and_files_outside_it_are_not_served(
    serve_page: Any, batch: Any
) -> None:
    client = serve_page(batch, batch)
    for method, path in UNNEEDED:
        response = client.request(method, path, content=b"x")
        assert response.status_code == 404, path
        assert response.json()["error"]["message"] == "there is nothing here", path
    for path in (
        "/assets/../../page.py",
        "/static/%2e%2e/%2e%2e/params.yaml",
        "/assets//etc/passwd",
    ):
        assert client.get(path).status_code in (403, 404), path


def test_an_event_that_is_broken_or_has_other_values_is_refused_and_not_logged(
    serve_page: Any, batch: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    client = serve_page(batch, batch)
    headers = {"content-type": "application/json"}
    for body in (b"", b"{}", b"[]", b'{"data": [], "session_hash": "x"}'):
        assert 400 <= client.post(JOIN, content=body, headers=headers).status_code < 500, body
    for number in range(40):
        event = {"data": ["secret"] * 9, "fn_index": number, "session_hash": "x"}
        assert client.post(JOIN, json=event).status_code == 400
    assert "secret" not in "".join(capfd.readouterr())


WRONG = (
    ("session_hash", ["x"]),
    ("session_hash", ""),
    ("session_hash", "../x"),
    ("fn_index", "0"),
    ("fn_index", 999),
    ("trigger_id", "chat"),
    ("event_id", "x"),
    ("event_data", "x"),
    ("event_data", {"index": 0}),
    ("data", {"0": "x"}),
)


def test_every_malformed_event_is_refused_without_a_traceback(
    build: Any, batch: Any, build_blocks: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    app = build(batch, batch)
    events = events_of(build_blocks)
    page = PageFilter(app, events)
    values: tuple[Any, ...] = ({"a": 1}, ["secret"], float("nan"), 1e99, "secret", None, True)
    passed = 0
    for number, event in events.items():
        first = {"Radio": "base", "Slider": 1, "Textbox": "x"}
        fitting = [first[type(component).__name__] for component in event.inputs]
        good = {"session_hash": "x", "fn_index": number, "data": fitting}
        assert page._fits(json.dumps(good).encode()) != bool(event.data)
        for field, value in WRONG:
            if (field, value) != ("event_data", {"index": 0}) or event.data:
                assert not page._fits(json.dumps(good | {field: value}).encode()), (number, field)
        for place in range(len(event.inputs)):
            for value in values:
                data = [*fitting]
                data[place] = value
                sent = json.dumps(good | {"data": data}).encode()
                kind = type(event.inputs[place]).__name__
                if page._fits(sent):
                    passed += 1
                    assert (kind, type(value)) in (("Textbox", str), ("Textbox", NoneType))
    assert passed and "Traceback" not in "".join(capfd.readouterr())


def test_a_page_whose_session_is_gone_is_told_so_without_a_traceback(
    build: Any, batch: Any, listen: Any, capfd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = build(batch, batch)
    mount_page(app, app.state.assistant)
    with (
        listen(app) as address,
        urlopen(f"{address}/gradio_api/queue/data?session_hash=unknown", timeout=10) as events,
    ):
        assert b'"session_not_found":true' in events.read()
    assert "Traceback" not in "".join(capfd.readouterr())


def test_pages_of_other_sites_are_not_answered(serve_page: Any, batch: Any) -> None:
    client = serve_page(batch, batch)
    for host in ("testserver", "127.0.0.1:8000", "medtune.example"):
        headers = {"origin": "https://evil.example", "host": host}
        assert not [
            name for name in client.get("/", headers=headers).headers if "access-control" in name
        ]
        asked = headers | {"access-control-request-method": "POST"}
        assert client.options(JOIN, headers=asked).status_code >= 400


def test_readers_need_the_key_too(serve_page: Any, batch: Any) -> None:
    client = serve_page(batch, batch, page_key="sesame")
    sign_in = client.get("/").text
    assert DISCLAIMER not in sign_in and "The server’s API key" in sign_in
    events = [{"data": [], "fn_index": number, "session_hash": "x"} for number in range(12)]
    assert {client.post(JOIN, json=event).status_code for event in events} == {401}
    for path in ("heartbeat/x", "startup-events", "queue/data?session_hash=x"):
        assert client.get(f"/gradio_api/{path}").status_code == 401, path
    assert "frame-ancestors 'none'" in client.get("/").headers["content-security-policy"]
    for password in ("", "sesam", "sésame"):
        given = {"username": "me", "password": password}
        assert client.post("/login", data=given).status_code in (400, 422)
    assert client.post("/login", data={"username": "me", "password": "sesame"}).status_code == 200
    assert DISCLAIMER in client.get("/").text
    assert client.get("/gradio_api/startup-events").status_code == 200
    client.cookies.clear()
    assert client.get("/gradio_api/startup-events").status_code == 401


def test_an_open_page_does_not_keep_a_server_that_stops(
    build: Any, listen: Any, batch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = build(batch, batch)
    mount_page(app, app.state.assistant)
    with listen(app) as address, urlopen(f"{address}/gradio_api/heartbeat/x", timeout=10) as beat:
        assert beat.readline() == b"data: ALIVE\n"
        app.state.close_page()
        assert beat.read().strip() == b""


def test_no_event_is_public_and_no_component_takes_files(build_blocks: Any) -> None:
    config = build_blocks.get_config_file()
    assert {each["api_visibility"] for each in config["dependencies"]} == {"private"}
    kinds = {component["type"] for component in config["components"]}
    assert "chatbot" in kinds
    assert not kinds & {"file", "uploadbutton", "image", "audio", "video", "multimodaltextbox"}
    bots = [each["props"] for each in config["components"] if each["type"] == "chatbot"]
    assert len(bots) == 3
    for bot in bots:
        assert bot["render_markdown"] is False and bot["sanitize_html"] is True
        assert bot["latex_delimiters"] == [] and bot["allow_tags"] is False
    assert not build_blocks.analytics_enabled


@pytest.fixture
def build_blocks(build: Callable[..., Any], batch: Any) -> Any:
    conversations = Conversations(build(batch, batch).state.assistant, NearestCards([]))
    return build_page(conversations, ["What is gout?"])
