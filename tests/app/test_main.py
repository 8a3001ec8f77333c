import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient

from app.__main__ import Options, hosts_of, register
from app.limits import Limits
from medtune.commands.base import new_app


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("LOCALHOST", 200), ("evil.example:8000", 400)],
)
def test_only_own_names_lead_to_a_server_of_one_machine(
    serve: Callable[..., TestClient], batch: Any, host: str, status: int
) -> None:
    client = serve(batch, hosts=hosts_of(options("127.0.0.1")))
    assert client.get("/v1/models", headers={"host": host}).status_code == status


def options(host: str, share: bool = False, *allowed: str) -> Options:
    return Options(host, 0, [], [*allowed], share)


def test_other_names_lead_to_a_server_that_others_may_reach() -> None:
    assert hosts_of(options("0.0.0.0")) == hosts_of(options("127.0.0.1", True)) == ["*"]
    assert "*.example.org" in hosts_of(options("localhost", False, "*.example.org"))


def command_line() -> typer.Typer:
    cli = new_app("The chat.")
    register(cli)
    return cli


def chat(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        command_line()(list(arguments), prog_name="medtune chat")
    return int(stopped.value.code or 0)


@pytest.mark.slow
def test_every_option_and_limit_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[Options, Limits]] = []
    monkeypatch.setattr("app.__main__.serve", lambda *both: served.append(both))
    assert chat() == 0
    assert served.pop() == (Options("127.0.0.1", 8000, [], [], False), Limits())
    origins = ("--cors-origin", "http://a", "--cors-origin", "http://b")
    limits = ("--max-rows", "3", "--time-limit-s", "0.5")
    given = ("--host", "::1", "--port", "9", "--share", "--allowed-host", "*.example.org")
    given += ("--region", "DE")
    assert chat(*given, *origins, *limits) == 0
    assert served.pop() == (
        Options("::1", 9, ["http://a", "http://b"], ["*.example.org"], True, "DE"),
        Limits(max_rows=3, time_limit_s=0.5),
    )


def test_help_shows_each_limit_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert chat("--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for limit in fields(Limits):
        assert f"--{limit.name.replace('_', '-')} " in shown
        assert f"{limit.metadata['help']} [default: {limit.default}]" in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--max-rows", "0"], "chat: --max-rows must be greater than 0, got 0\n"),
        (["--region", "XX"], "chat: there are no numbers for the region XX: choose from US"),
        (["--port", "99999"], "chat: could not listen on 127.0.0.1:99999"),
    ],
)
def test_wrong_options_are_one_line_before_the_server_is_imported(
    arguments: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MEDTUNE_API_KEY", raising=False)
    monkeypatch.setattr("app.__main__.check_files", lambda: None)
    monkeypatch.setitem(sys.modules, "app.api.server", None)  # importing it would fail
    assert chat(*arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith(line) and said.count("\n") == 1


@pytest.mark.parametrize("key", [None, ""])
def test_a_server_for_everybody_wants_a_key(
    key: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDTUNE_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MEDTUNE_API_KEY", key)
    monkeypatch.setattr("app.__main__.check_files", lambda: None)
    monkeypatch.setitem(sys.modules, "app.api.server", None)  # importing it would fail
    assert chat("--share") == 1
    said = capsys.readouterr().err
    assert said.startswith("chat: --share opens the server to everybody: set MEDTUNE_API_KEY")


@pytest.mark.parametrize("package", ["fastapi_offline", "gradio", "markdown_it", "starlette"])
def test_a_missing_package_is_one_line_before_the_server_is_imported(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.__main__.check_files", lambda: pytest.fail("checked too late"))
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    line = f"chat: the package {package} is not installed: run `make .venv/app`"
    with pytest.raises(SystemExit, match=f"^{line}$"):
        command_line()([], prog_name="medtune chat")
