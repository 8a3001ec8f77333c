"""A conversation becomes its last answered question, with what was said before."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from medtune.cards.conversations import LastTurn, pair_messages, read_conversation


def chat(text: str) -> list[dict[str, str]]:
    """Messages from words such as "u:Hello"; s, u, a and t stand for the roles."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    pairs = [word.split(":", 1) for word in text.split(" ") if word]
    return [{"role": roles[role], "content": content} for role, content in pairs]


@pytest.mark.parametrize(
    ("messages", "question", "answer", "history"),
    [
        ("u:1 a:2", "1", "2", ""),
        ("s:0 u:1 a:2", "1", "2", "s:0"),
        ("s:0 u:1 a:2 u:3 a:4", "3", "4", "s:0 u:1 a:2"),
        ("s:0 a:0 u:1 a:2 s:9 u:3 a:4", "3", "4", "s:0\n\n9 u:1 a:2"),
        ("a:0 u:1 a:2", "1", "2", ""),
        ("u:1 a:2 u:3", "1", "2", ""),
        ("u:1 s:0 a:2", "1", "2", "s:0"),
        ("s: u:1 a:2", "1", "2", ""),
    ],
)
def test_the_last_answer_that_follows_a_question_ends_the_record(
    messages: str, question: str, answer: str, history: str
) -> None:
    turn = read_conversation(chat(messages))
    assert (turn.question, turn.answer, turn.drop_reason) == (question, answer, "")
    expected = [tuple(message.values()) for message in chat(history)]
    assert list(turn.history) == expected


def test_a_message_may_have_the_keys_of_two_layouts() -> None:
    rows = [
        {"role": None, "content": None, "from": "human", "value": "1"},
        {"role": None, "content": None, "from": "gpt", "value": "2"},
    ]
    assert read_conversation(rows) == LastTurn("1", "2")


@pytest.mark.parametrize("pairs", [[["1", None], ["2", "3"]], '[["1", null], ["2", "3"]]'])
def test_earlier_turns_may_be_json_and_lack_an_answer(pairs: object) -> None:
    said = [(message["role"], message["content"]) for message in pair_messages(pairs)]
    assert said == [("user", "1"), ("user", "2"), ("assistant", "3")]


def test_neighbours_of_one_role_become_one_message() -> None:
    turn = read_conversation(chat("u:1 u:2 a:3 a:4"))
    assert turn == LastTurn("1\n\n2", "3\n\n4")


def test_a_system_column_comes_first() -> None:
    turn = read_conversation(chat("u:1 a:2"), system="Be brief.")
    assert turn.history == (("system", "Be brief."),)
    assert read_conversation(chat("u:1 a:2"), system=None).history == ()


def test_the_parts_of_a_content_are_joined_if_all_are_text() -> None:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "Look:"}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": parts}, *chat("a:2")]
    assert read_conversation(messages).question == "Look:"
    for content in (["Look:"], parts[0]):
        assert read_conversation([{"role": "user", "content": content}, *chat("a:2")]) == (
            read_conversation(messages)
        )
    parts.append({"type": "image_url", "image_url": {"url": "x.png"}})
    assert read_conversation(messages).drop_reason == "no_conversation"


def as_numpy_prints(messages: object) -> str:
    return str(np.array(messages, dtype=object))


@pytest.mark.parametrize("write", [json.dumps, str, as_numpy_prints])
def test_a_text_may_hold_messages_as_json_python_or_numpy_writes_them(
    write: Callable[[object], str],
) -> None:
    messages = [{"role": "user", "content": r"Is it \d?", "name": None}, *chat("a:It's}\n")]
    with warnings.catch_warnings(action="error"):
        assert read_conversation(write(messages)) == read_conversation(messages)


def test_a_message_may_have_its_content_under_three_keys() -> None:
    for key in ("content", "value", "text"):
        messages = [{"from": "human", key: "1"}, {"from": "gpt", key: "2"}]
        assert read_conversation(messages) == LastTurn("1", "2")


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (chat("u:1 t:2 a:3"), "unknown_role"),
        ([{"role": "critic", "content": "1"}, *chat("a:2")], "unknown_role"),
        ([{"content": "1"}, *chat("a:2")], "unknown_role"),
        (
            [*chat("u:1"), {"role": "assistant", "content": None, "tool_calls": [{}]}],
            "unknown_role",
        ),
        ([], "no_conversation"),
        (None, "no_conversation"),
        ("not JSON", "no_conversation"),
        ("[" * 100_000, "no_conversation"),
        (["Hello", "Good day"], "no_conversation"),
        (chat("u:1"), "no_conversation"),
        (chat("a:1"), "no_conversation"),
        ({"role": ["user"], "content": ["1", "2"]}, "no_conversation"),
        ([{"role": "user", "content": {"image": "1"}}, *chat("a:2")], "no_conversation"),
        ("[{'role': 'user', 'content': open('x')}]", "no_conversation"),
        (f"[{'1, ' * 2**19}]", "no_conversation"),
    ],
)
def test_what_is_no_conversation_is_dropped_with_a_reason(messages: object, reason: str) -> None:
    assert read_conversation(messages) == LastTurn(drop_reason=reason)
