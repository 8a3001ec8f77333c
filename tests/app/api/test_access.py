import logging
import secrets
from typing import Any

import pytest

from tests.app.api.conftest import URL, Serve, question


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer wrong", "Bearer ", "Basic sesame", b"Bearer \xff\xfe"]
)
def test_a_key_is_asked_for_where_there_is_one(serve: Serve, spoken: Any, given: Any) -> None:
    client = serve(spoken, key="sesame-ü")
    headers = {} if given is None else {"authorization": given}
    response = client.post(URL, json=question(), headers=headers)
    assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert client.get("/v1/models", headers=headers).status_code == 401
    assert client.get("/health", headers=headers).status_code == 200
    right = {"authorization": "Bearer sesame-ü".encode()}
    assert client.post(URL, json=question(), headers=right).status_code == 200


def test_the_key_is_compared_in_constant_time(
    serve: Serve, spoken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    right = secrets.compare_digest

    def compare(*pair: Any) -> bool:
        compared.append(pair)
        return right(*pair)

    monkeypatch.setattr("app.api.middleware.secrets.compare_digest", compare)
    client = serve(spoken, key="sesame")
    client.get("/v1/models", headers={"authorization": "Bearer wrong"})
    assert compared == [(b"Bearer wrong", b"Bearer sesame")]


def test_other_pages_may_call_only_if_they_are_named(serve: Serve, spoken: Any) -> None:
    page = {"origin": "http://page.example"}
    preflight = page | {"access-control-request-method": "POST"}
    closed, open_ = serve(spoken), serve(spoken, key="sesame", origins=["http://page.example"])
    allowed = "access-control-allow-origin"
    assert allowed not in closed.get("/health", headers=page).headers
    assert closed.options(URL, headers=preflight).status_code == 405
    assert open_.options(URL, headers=preflight).headers[allowed] == page["origin"]
    other = preflight | {"origin": "http://other.example"}
    assert allowed not in open_.options(URL, headers=other).headers


def test_no_prompt_is_logged(
    serve: Serve, spoken: Any, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    client = serve(spoken)
    with caplog.at_level(logging.DEBUG):
        client.post(URL, json=question("my canary"))
        client.post(URL, json=question("my canary", tools=["canary"]))
        spoken.error = ValueError("broken")
        assert client.post(URL, json=question("my canary")).status_code == 500
    output = capfd.readouterr()
    assert "broken" in caplog.text
    assert "canary" not in caplog.text + output.out + output.err
