from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.__main__ import hosts_of


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("LOCALHOST", 200), ("evil.example:8000", 400)],
)
def test_only_own_names_lead_to_a_server_of_one_machine(
    serve: Callable[..., TestClient], batch: Any, host: str, status: int
) -> None:
    client = serve(batch, hosts=hosts_of(options("127.0.0.1")))
    assert client.get("/v1/models", headers={"host": host}).status_code == status


def options(host: str, share: bool = False, *allowed: str) -> Namespace:
    return Namespace(host=host, share=share, allowed_host=[*allowed])


def test_other_names_lead_to_a_server_that_others_may_reach() -> None:
    assert hosts_of(options("0.0.0.0")) == hosts_of(options("127.0.0.1", True)) == ["*"]
    assert "*.example.org" in hosts_of(options("localhost", False, "*.example.org"))
