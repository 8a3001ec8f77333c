import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx2
import pytest

from benchmarks.serve import Client, Reply, describe_load, load, throughput
from medtune.runtime.errors import InputError

Handler = Callable[[httpx2.Request], httpx2.Response]


def event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


def said(*pieces: str, tokens: int = 0) -> httpx2.Response:
    text = "".join(event({"choices": [{"delta": {"content": piece}}]}) for piece in pieces)
    text += event({"choices": [], "usage": {"completion_tokens": tokens}}) + "data: [DONE]\n\n"
    return httpx2.Response(200, text=text)


def run(handler: Handler, work: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    client = Client("http://server", max_tokens=9)
    transport = httpx2.MockTransport(handler)
    client.http = httpx2.AsyncClient(transport=transport, base_url="http://server")
    return asyncio.run(work(client))


def echo(request: httpx2.Request) -> httpx2.Response:
    body = json.loads(request.content)
    return said("", body["messages"][0]["content"], "!", tokens=body["max_tokens"])


@pytest.mark.slow
def test_a_reply_holds_text_tokens_and_the_time_to_the_first_text() -> None:
    reply = run(echo, lambda client: client.ask("Hi"))
    assert (reply.status, reply.text, reply.tokens) == (200, "Hi!", 9)
    assert 0 < reply.first_s < 10


@pytest.mark.slow
def test_an_error_within_a_stream_is_no_success() -> None:
    broken = httpx2.Response(200, text=event({"error": {"message": "broken"}}))
    assert run(lambda _: broken, lambda client: client.ask("Hi")).status == 500


@pytest.mark.slow
def test_replies_come_in_the_order_of_the_questions() -> None:
    questions = [str(n) for n in range(9)]
    replies, rate = run(echo, lambda client: throughput(client, questions, 4))
    assert [reply.text for reply in replies] == [f"{n}!" for n in range(9)]
    assert rate > 0


@pytest.mark.slow
def test_a_refusal_ends_the_measurement() -> None:
    refused = httpx2.Response(503)
    with pytest.raises(InputError, match="refused 2 requests with 503"):
        run(lambda _: refused, lambda client: throughput(client, ["a", "b"], 2))


@pytest.mark.slow
def test_a_load_counts_what_is_refused_and_what_fails() -> None:
    calls = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        if len(calls) % 3 == 1:
            return httpx2.Response(503, headers={"retry-after": "0"})
        if len(calls) % 3 == 2:
            raise httpx2.ConnectError("gone")
        return echo(request)

    replies = run(handler, lambda client: load(client, ["a"], 2, 0.05))
    assert len(replies) == len(calls) > 5
    assert {reply.status for reply in replies} == {0, 200, 503}


def test_a_load_is_described_by_what_was_admitted() -> None:
    replies = [Reply(200, "a", 10, n / 100) for n in range(101)] + [Reply(503)] * 3 + [Reply(0)]
    described = describe_load(replies, seconds=5.0)
    assert described["statuses"] == {"0": 1, "200": 101, "503": 3}
    assert described["errors"] == 1
    assert described["first_token_p50_s"] == pytest.approx(0.5)
    assert described["first_token_p95_s"] == pytest.approx(0.95)
    assert described["tokens_per_s"] == 202
