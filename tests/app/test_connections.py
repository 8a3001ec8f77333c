import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from app.connections import protocol_with
from app.limits import Limits
from tests.waiting import until

pytestmark = pytest.mark.slow

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers "ok" after the whole body has come."""
    if scope["type"] != "http":
        return
    while (await receive())["more_body"]:
        pass
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def listening(**limits: Any) -> Iterator[tuple[int, uvicorn.Server]]:
    config = uvicorn.Config(
        application, http=protocol_with(Limits(**limits)), log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            until(lambda: server.started)
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join()


def connect(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(sent)
    return connection


def read(connection: socket.socket) -> bytes:
    """What comes until the connection is closed."""
    found = b""
    while piece := connection.recv(999):
        found += piece
    return found


def whole_answer(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"ok"):
        found += connection.recv(999)
    return found


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_headers_that_do_not_come_are_not_waited_for(sent: bytes) -> None:
    with listening(head_time_limit_s=0.2) as (port, server):
        connections = [connect(port, sent) for _ in range(20)]
        for connection in connections:
            assert read(connection).endswith(b"Connection: close\r\n\r\n")
            connection.close()
        until(lambda: not server.server_state.connections)


def test_headers_that_trickle_in_are_not_waited_for_either() -> None:
    with listening(head_time_limit_s=0.2) as (port, _), connect(port) as connection:
        with pytest.raises(OSError, match=r".+"):
            for _ in range(100):
                connection.sendall(b"\r\n")
                time.sleep(0.02)
        connection.close()


def test_a_request_that_is_whole_has_all_the_time_it_needs() -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"
    with listening(head_time_limit_s=1.0) as (port, _), connect(port, post) as connection:
        time.sleep(1.5)
        for sent in (b"b", GET):
            connection.sendall(sent)
            assert whole_answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(GET[:9])
        assert read(connection).startswith(b"HTTP/1.1 408")


def test_one_connection_too_many_is_closed_and_others_go_on() -> None:
    with listening(max_connections=3, retry_after_s=7) as (port, server):
        kept = [connect(port) for _ in range(3)]
        until(lambda: len(server.server_state.connections) == 3)
        with connect(port) as refused:
            answered = read(refused)
        assert answered.startswith(b"HTTP/1.1 503") and b"Retry-After: 7" in answered
        kept.pop().close()
        until(lambda: len(server.server_state.connections) == 2)
        with connect(port, GET) as connection:
            assert connection.recv(999).startswith(b"HTTP/1.1 200")
        for connection in kept:
            connection.close()
