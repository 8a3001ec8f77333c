"""Every field that the official client can send, and what becomes of it."""

from typing import Any, get_type_hints

import pytest
from openai.types import completion_create_params as text_params
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartTextParam,
    ChatCompletionStreamOptionsParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)
from openai.types.chat import completion_create_params as chat_params
from pydantic import BaseModel, ValidationError

from app.api.chat_bodies import ChatRequest, Message, StreamOptions, TextPart
from app.api.text_bodies import CompletionRequest

USER = {"role": "user", "content": "What is gout?"}
CHAT: dict[str, Any] = {"model": "finetuned", "messages": [USER]}
TEXT: dict[str, Any] = {"model": "finetuned", "prompt": "Gout is"}
TOOL = {"type": "function", "function": {"name": "find"}}
# Values that are accepted, and values that are refused, in one clear message with a remedy.
SHARED: dict[str, tuple[list[Any], list[Any]]] = {
    "model": (["base"], [None]),
    "temperature": ([None, 0, 0.7, 2], [-1, 2.1, "0"]),
    "top_p": ([None, 0.1, 1], [0, 1.1]),
    "max_tokens": ([None, 1], [-1, 1.5, "9"]),
    "seed": ([None, -3, 2**40], [2**64]),
    "frequency_penalty": ([None, 0, -2, 0.5], [3]),
    "stop": ([None, [], "a", ["a", "b", "c", "d"]], ["", [""], list("abcde"), 3]),
    "user": ([None, "me"], [3]),
    "n": ([None, 1], [0, 2]),
    "presence_penalty": ([None, 0, 0.0], [0.5]),
    "logit_bias": ([None, {}], [{"50256": -100}]),
}
CHAT_ONLY: dict[str, tuple[list[Any], list[Any]]] = {
    "messages": ([[USER]], [[], None]),
    "max_completion_tokens": ([None, 1], [0]),
    "stream": ([None, False, True], [1]),
    "stream_options": ([None, {}, {"include_usage": True}], [{"include_obfuscation": True}]),
    "logprobs": ([None, False], [True, 0]),
    "top_logprobs": ([None, 0], [3]),
    "response_format": ([None, {"type": "text"}], [{"type": "json_object"}]),
    "tools": ([None, []], [[TOOL]]),
    "tool_choice": ([None, "none", "auto"], ["required", TOOL]),
    "parallel_tool_calls": ([None, True, False], ["no"]),
    "functions": ([None, []], [[{"name": "find"}]]),
    "function_call": ([None, "none", "auto"], [{"name": "find"}]),
    "audio": ([None], [{"voice": "ash", "format": "wav"}]),
    "modalities": ([None, ["text"]], [["text", "audio"]]),
    "reasoning_effort": ([None, "none"], ["low"]),
    "verbosity": ([None, "medium"], ["high"]),
    "service_tier": ([None, "auto", "default"], ["flex"]),
    "store": ([None, False], [True, 0]),
    "moderation": ([None], [{"model": "omni"}]),
    "web_search_options": ([None], [{}]),
    # These change no answer.
    "metadata": ([None, {}, {"run": "7"}], [{"run": 7}]),
    "prediction": ([None, {"type": "content", "content": "Gout is"}], ["Gout"]),
    "prompt_cache_key": ([None, "a"], [3]),
    "prompt_cache_options": ([None, {"mode": "implicit"}], ["a"]),
    "prompt_cache_retention": ([None, "in_memory", "24h"], ["1h"]),
    "safety_identifier": ([None, "a"], [3]),
}
TEXT_ONLY: dict[str, tuple[list[Any], list[Any]]] = {
    "prompt": (["a", ["a", "b"], [1, 2], [[1], [2, 3]]], ["", [], [[]], None, [1, "a"], [-1]]),
    "echo": ([None, True, False], ["yes"]),
    "logprobs": ([None, 0, 5], [6, True]),
    "best_of": ([None, 1], [3]),
    "suffix": ([None, ""], ["end"]),
    "stream": ([None, False], [True, 0]),
    "stream_options": ([None], [{"include_usage": True}]),
}
TABLES = (
    (ChatRequest, CHAT, SHARED | CHAT_ONLY),
    (CompletionRequest, TEXT, SHARED | TEXT_ONLY),
)
CASES = [
    pytest.param(kind, body, field, value, good, id=f"{kind.__name__}-{field}-{value}")
    for kind, body, table in TABLES
    for field, values in table.items()
    for good, of_kind in zip((True, False), values, strict=True)
    for value in of_kind
]


@pytest.mark.parametrize(("kind", "body", "field", "value", "good"), CASES)
def test_values_are_accepted_or_refused_in_one_message(
    kind: type[BaseModel], body: dict[str, Any], field: str, value: Any, good: bool
) -> None:
    if good:
        assert kind.model_validate(body | {field: value}).model_fields_set >= {*body, field}
        return
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body | {field: value})
    for error in caught.value.errors():
        assert error["loc"][0] == field and len(error["msg"]) > 10


@pytest.mark.parametrize(
    ("ours", "theirs", "table"),
    [
        (ChatRequest, chat_params, SHARED | CHAT_ONLY),
        (CompletionRequest, text_params, SHARED | TEXT_ONLY),
    ],
)
def test_every_field_of_the_official_client_is_decided(
    ours: type[BaseModel], theirs: Any, table: dict[str, Any]
) -> None:
    base = get_type_hints(theirs.CompletionCreateParamsBase).keys()
    fields = base | get_type_hints(theirs.CompletionCreateParamsStreaming).keys()
    assert len(fields) > 15
    assert set(ours.model_fields) == set(table) == set(fields)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Message, ChatCompletionUserMessageParam),
        (Message, ChatCompletionSystemMessageParam),
        (Message, ChatCompletionAssistantMessageParam),
        (TextPart, ChatCompletionContentPartTextParam),
        (StreamOptions, ChatCompletionStreamOptionsParam),
    ],
)
def test_every_field_of_its_messages_is_decided(ours: type[BaseModel], theirs: Any) -> None:
    assert set(theirs.__annotations__) <= set(ours.model_fields)


# What the clients' types allow beside an answer, and send back with it.
NOTHING = ("refusal", "annotations", "audio", "tool_calls", "function_call", "metadata", "options")
EMPTY = dict.fromkeys(NOTHING)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "Hi", "name": "Ada"},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": None, "tool_calls": [], "annotations": []},
        {"role": "assistant", "content": "Hi"} | EMPTY,
        {"role": "user", "content": "Hi"} | EMPTY,
        {"role": "assistant"},
    ],
)
def test_messages_come_as_clients_send_them(message: dict[str, Any]) -> None:
    said = ChatRequest.model_validate(CHAT | {"messages": [message, USER]}).messages[0].for_prompt()
    assert said == {"role": message["role"], "content": message.get("content") or ""}


@pytest.mark.parametrize("role", ["user", "system", "developer"])
def test_only_an_assistant_may_say_nothing(role: str) -> None:
    with pytest.raises(ValidationError, match="only an assistant"):
        ChatRequest.model_validate(CHAT | {"messages": [{"role": role, "content": None}]})
