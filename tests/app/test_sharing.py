from typing import Any

import gradio.networking
import pytest

from app.sharing import share
from medtune.errors import InputError


def test_the_tunnel_leads_to_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def tunnel(*arguments: Any) -> str:
        asked.append(arguments)
        return "https://abc.gradio.live"

    monkeypatch.setattr(gradio.networking, "setup_tunnel", tunnel)
    assert share(8123) == share(8123) == "https://abc.gradio.live"
    assert [arguments[:2] for arguments in asked] == [("127.0.0.1", 8123)] * 2
    assert asked[0][2] != asked[1][2] and len(asked[0][2]) > 30


def test_without_a_network_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def tunnel(*_: Any) -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.\nmore")

    monkeypatch.setattr(gradio.networking, "setup_tunnel", tunnel)
    with pytest.raises(InputError, match=r"\(Could not get .* Server\): leave out --share"):
        share(8123)
