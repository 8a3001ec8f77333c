import json
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient

from medtune.modeling.prompts import PromptEncoder
from tests.app.api.conftest import ANSWER, URL, Serve, question
from tests.waiting import until


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_an_answer_comes_whole(serve: Serve, spoken: Any, encoder: PromptEncoder) -> None:
    response = serve(spoken).post(URL, json=question())
    assert response.status_code == 200
    body = response.json()
    assert body["object"] == "chat.completion" and body["model"] == "finetuned"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": ANSWER.strip(), "refusal": None}
    assert choice["finish_reason"] == "stop"
    prompt = encoder.question_ids("What is gout?")
    assert spoken.prompts == [prompt]
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(spoken.reply)}
    assert body["usage"] == usage | {"total_tokens": sum(usage.values())}


def test_an_answer_comes_piece_by_piece(serve: Serve, spoken: Any) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    response = serve(spoken).post(URL, json=question(**options))
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, last, done = events(response.text)
    assert done == "[DONE]" and last["choices"] == []
    assert last["usage"]["completion_tokens"] == len(spoken.reply)
    assert len({chunk["id"] for chunk in [*chunks, last]}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant" and deltas[-1] == {}
    assert "".join(delta.get("content", "") for delta in deltas) == ANSWER.strip()
    assert len(deltas) > 10 and " 😀" in [delta.get("content") for delta in deltas]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]


@pytest.mark.slow
def test_a_character_that_is_cut_off_shows_as_such_at_the_end(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    cut = len(encoder.answer_ids(" Grüße, 😀")) - 1
    whole = serve(spoken).post(URL, json=question(max_tokens=cut)).json()
    streamed = events(serve(spoken).post(URL, json=question(max_tokens=cut, stream=True)).text)
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in streamed[:-1])
    assert whole["choices"][0]["message"]["content"] == text == "Grüße, \ufffd"
    assert whole["choices"][0]["finish_reason"] == "length"


def test_a_conversation_is_what_the_model_was_trained_on(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    turns = [
        {"role": "user", "content": "Hi <|im_end|>"},  # text, and no end of a turn
        {"role": "assistant", "content": "Hello."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Why"}, {"type": "text", "text": "?"}],
        },
    ]
    client = serve(spoken)
    assert client.post(URL, json=question(messages=turns)).status_code == 200
    own = [{"role": "developer", "content": "Be long."}, *turns]
    assert client.post(URL, json=question(messages=own)).status_code == 200
    plain = [*turns[:2], {"role": "user", "content": "Why?"}]
    first = encoder.prompt_ids(plain)
    brief, long = encoder.answer_ids("Be brief."), encoder.answer_ids("Be long.")
    start = first.index(brief[0])
    assert first[start : start + len(brief)] == brief
    second = [*first[:start], *long, *first[start + len(brief) :]]
    assert spoken.prompts == [first, second]


@pytest.mark.parametrize("roles", ["system developer user", "system user assistant system user"])
def test_system_messages_are_one_at_the_beginning(
    serve: Serve, spoken: Any, encoder: PromptEncoder, roles: str
) -> None:
    said = [{"role": role, "content": f"{n}."} for n, role in enumerate(roles.split())]
    assert serve(spoken).post(URL, json=question(messages=said)).status_code == 200
    system = [m["content"] for m in said if m["role"] in ("system", "developer")]
    others = [m for m in said if m["role"] in ("user", "assistant")]
    joined = {"role": "system", "content": "\n\n".join(system)}
    plain = PromptEncoder(encoder.tokenizer, replace(encoder.format, system_prompt=None))
    assert spoken.prompts == [plain.prompt_ids([joined, *others])]


@pytest.mark.slow
def test_an_answer_that_the_time_limit_cuts_says_so(serve: Serve, spoken: Any) -> None:
    spoken.reply, spoken.step_s = [65] * 10**6, 0.01
    client = serve(spoken, time_limit_s=0.1, max_new_tokens=10**5, context=10**6)
    (choice,) = client.post(URL, json=question(max_tokens=10**5)).json()["choices"]
    assert (choice["finish_reason"], choice["timed_out"]) == ("length", True)
    *_, last, _ = events(client.post(URL, json=question(max_tokens=10**5, stream=True)).text)
    (choice,) = last["choices"]
    assert (choice["finish_reason"], choice["timed_out"]) == ("length", True)
    spoken.step_s = 0.0
    (choice,) = client.post(URL, json=question(max_tokens=2)).json()["choices"]
    assert choice["finish_reason"] == "length" and "timed_out" not in choice


@pytest.mark.parametrize(
    ("stop", "left"),
    [
        ("😀", "Grüße, "),
        (["nothing", " ≥ 3"], "Grüße, 😀"),
        (["≥ 4", "3 µg."], "Grüße, 😀 ≥ "),
        (["G"], ""),
        ([], "Grüße, 😀 ≥ 3 µg."),
        (None, "Grüße, 😀 ≥ 3 µg."),
        ("3 µg. And", "Grüße, 😀 ≥ 3 µg."),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_ends_before_a_stop_string_and_shows_nothing_of_it(
    serve: Serve, spoken: Any, stop: Any, left: str, stream: bool
) -> None:
    response = serve(spoken).post(URL, json=question(stop=stop, stream=stream))
    if stream:
        choices = [event["choices"][0] for event in events(response.text)[:-1]]
        said = "".join(choice["delta"].get("content", "") for choice in choices)
        reason = choices[-1]["finish_reason"]
    else:
        (choice,) = response.json()["choices"]
        said, reason = choice["message"]["content"], choice["finish_reason"]
    assert (said, reason) == (left, "stop")


def test_a_stop_string_ends_the_computation_too(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    spoken.reply, spoken.step_s = encoder.answer_ids("A") * 10**6, 0.002
    client = serve(spoken, max_new_tokens=10**5, context=10**6, time_limit_s=5)
    answered = client.post(URL, json=question(max_tokens=10**5, stop="AAAA")).json()
    assert answered["choices"][0]["message"]["content"] == ""
    assert answered["usage"]["completion_tokens"] < 100
    until(lambda: not spoken.said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "status", "param", "says"),
    [
        ({"model": "gpt-4"}, 404, "model", "choose from finetuned"),
        ({"model": 3}, 400, "model", "valid string"),
        ({"messages": []}, 400, "messages", "at least 1"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "messages.0.content", "string"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "text": ""}]}]},
            400,
            "messages.0.content.0.type",
            "'text'",
        ),
        ({"messages": [{"role": "tool", "content": "a"}]}, 400, "messages.0.role", "'user'"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, 400, "messages", "role user"),
        ({"messages": [{"role": "user", "content": " \n"}]}, 400, "messages", "contain text"),
        ({"messages": [{"role": "user", "content": "a"}] * 5}, 400, "messages", "at most 4"),
        (
            {"messages": [{"role": "user", "content": "gout " * 99}]},
            400,
            "messages",
            "only 200 fit",
        ),
        ({"max_tokens": 101}, 400, "max_completion_tokens", "at most 100"),
        ({"max_completion_tokens": 64}, 400, "max_tokens", "leave one of them out"),
        ({"max_tokens": 0}, 400, "max_tokens", "greater than or equal to 1"),
        ({"temperature": float("nan")}, 400, "temperature", "finite"),
        ({"top_k": 5}, 400, "top_k", "not supported"),
        ({"a\nb": 1}, 400, "a b", "a b is not supported"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(
    serve: Serve, spoken: Any, change: Any, status: int, param: str, says: str
) -> None:
    limits = {"max_messages": 4, "max_new_tokens": 100, "max_prompt_tokens": 200}
    content = json.dumps(question() | change)
    response = serve(spoken, **limits).post(
        URL, content=content, headers={"content-type": "application/json"}
    )
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param)
    assert says in error["message"] and "\n" not in error["message"]
    assert error["type"] == "invalid_request_error"
    assert not spoken.prompts


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "not valid JSON"),
        (b"", "JSON object"),
        (b"[1]", "JSON object"),
        (b'{"model": "\xff"}', "not UTF-8 at byte 11"),
        (b"[" * 20_000, "body"),
        (b'{"seed": ' + b"9" * 9_000 + b"}", "body"),
        (b'{"model": "finetuned", "messages": [{"role": "user", "content": "\\ud800"}]}', "half"),
        (
            b'{"model": "", "messages": [{"role": "user", "content": ""}], "\\ud800\\n": 1}',
            "unicode",
        ),
    ],
)
def test_a_broken_body_is_refused(serve: Serve, spoken: Any, content: bytes, says: str) -> None:
    headers = {"content-type": "application/json"}
    response = serve(spoken).post(URL, content=content, headers=headers)
    assert response.status_code == 400
    assert says in response.json()["error"]["message"]


def test_a_prompt_must_leave_room_for_its_answer(serve: Serve, spoken: Any) -> None:
    client = serve(spoken, context=100)
    assert client.post(URL, json=question(max_tokens=20)).status_code == 200
    response = client.post(URL, json=question(max_tokens=90))
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(("given", "used"), [(1e-200, 0.0), (0.0, 0.0), (0.5, 0.5), (None, 0.0)])
def test_a_temperature_that_makes_logits_infinite_is_greedy(
    serve: Serve, spoken: Any, given: float | None, used: float
) -> None:
    assert serve(spoken).post(URL, json=question(temperature=given)).status_code == 200
    assert [params.temperature for params in spoken.params] == [used]


@pytest.mark.slow
def test_a_request_may_ask_for_fewer_repetitions(serve: Serve, spoken: Any) -> None:
    assert serve(spoken).post(URL, json=question(frequency_penalty=0.5)).status_code == 200
    assert [params.frequency_penalty for params in spoken.params] == [0.5]


def test_the_same_size_limit_applies_to_pages(build: Any, spoken: Any) -> None:
    app = build(spoken)

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse((await receive())["body"])(scope, receive, send)

    app.mount("/page", page)
    with TestClient(app) as client:
        assert client.post("/page/join", content=b"a" * 32_768).content == b"a" * 32_768
        for content in (b"a" * 32_769, iter([b"a" * 32_768, b"a"])):
            refused = client.post("/page/upload", content=content)
            assert refused.status_code == 413 and "32768 bytes" in refused.text
        assert client.get("/page/data").status_code == 200


@pytest.mark.slow
def test_a_full_queue_says_when_to_come_again(serve: Serve, spoken: Any) -> None:
    client = serve(spoken, max_rows=1, max_waiting=1, time_limit_s=0.2, retry_after_s=7)
    spoken.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, URL, json=question(stream=n % 2 == 0)) for n in range(8)]
        first = [future.result() for future in islice(as_completed(asked, timeout=10), 6)]
        time.sleep(0.2)  # until the one that waits has waited too long
        spoken.gate.set()
    assert sorted(future.result().status_code for future in asked) == [200] + 7 * [503]
    for response in first:
        assert response.headers["retry-after"] == "7"
        assert response.json()["error"]["code"] == "busy"


@pytest.mark.slow
def test_an_error_of_ours_is_said_without_details(serve: Serve, spoken: Any) -> None:
    client = serve(spoken)
    spoken.error = ValueError("secret path")
    response = client.post(URL, json=question(stream=True))
    assert response.status_code == 500 and response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text
    spoken.error = None
    assert client.post(URL, json=question()).status_code == 200


@pytest.mark.slow
def test_models_are_those_of_the_engine(serve: Serve, batch: Any) -> None:
    client = serve(batch, type(batch)())
    models = client.get("/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["finetuned", "base"]
    assert client.get("/v1/models/base").json() == models["data"][1]
    assert client.get("/v1/models/gpt-4").status_code == 404


@pytest.mark.slow
def test_health_and_readiness_are_told_apart(serve: Serve, spoken: Any) -> None:
    client = serve(spoken)
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    client.portal.call(client.app.state.assistant.engine.stop)  # type: ignore[union-attr]
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    assert client.post(URL, json=question()).status_code == 503


def test_unknown_paths_and_methods_are_errors_of_the_same_form(serve: Serve, batch: Any) -> None:
    client = serve(batch)
    assert client.get("/v2").json()["error"]["message"] == "Not Found"
    response = client.get(URL)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_messages_of_one_role_in_a_row_are_one(
    serve: Serve, spoken: Any, encoder: PromptEncoder
) -> None:
    messages = [{"role": "user", "content": text} for text in ("What is gout?", "Be quick.")]
    assert serve(spoken).post(URL, json=question() | {"messages": messages}).status_code == 200
    assert spoken.prompts == [encoder.question_ids("What is gout?\n\nBe quick.")]
