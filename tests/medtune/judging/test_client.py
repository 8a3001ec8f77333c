import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from medtune.judging import client
from medtune.judging.client import JudgeApi, ask_all
from medtune.runtime.errors import InputError
from tests.judge_server import JudgeServer, running_judge

ASKED = [[{"role": "user", "content": text}] for text in ("one", "two", "three")]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    monkeypatch.setattr(client, "CACHE", tmp_path / "judge")
    monkeypatch.setattr(client, "WAITS_S", (0.0, 0.0))
    with running_judge(str.upper) as server:
        yield server


@pytest.mark.slow
def test_replies_come_in_order_and_are_asked_for_once(judge: JudgeServer) -> None:
    api = JudgeApi(judge.url, "m", key="secret")
    assert ask_all(api, ASKED, at_once=2) == ["ONE", "TWO", "THREE"]
    assert judge.keys == ["Bearer secret"] * 3
    assert ask_all(api, ASKED, at_once=2) == ["ONE", "TWO", "THREE"]
    assert len(judge.bodies) == 3
    assert ask_all(JudgeApi(judge.url, "other"), ASKED[:1], at_once=1) == ["ONE"]
    assert len(judge.bodies) == 4
    assert judge.bodies[3] == {
        **{"model": "other", "messages": ASKED[0], "temperature": 0, "max_tokens": 64}
    }
    assert judge.keys[3] is None


@pytest.mark.slow
def test_a_busy_server_is_asked_again_and_no_key_is_written(
    judge: JudgeServer, tmp_path: Path
) -> None:
    judge.failures = [503, 429]
    assert ask_all(JudgeApi(judge.url, "m", key="secret"), ASKED[:1], at_once=1) == ["ONE"]
    assert len(judge.bodies) == 3
    (kept,) = (tmp_path / "judge").iterdir()
    assert "secret" not in kept.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_refusal_is_one_line_and_replies_before_it_are_kept(judge: JudgeServer) -> None:
    api = JudgeApi(judge.url, "m")
    ask_all(api, ASKED[:1], at_once=1)
    judge.failures = [401]
    with pytest.raises(InputError, match=r"did not answer: 401 .*busy.*MEDTUNE_JUDGE_KEY"):
        ask_all(api, ASKED, at_once=1)
    asked = len(judge.bodies)
    assert ask_all(api, ASKED[:1], at_once=1) == ["ONE"]
    assert len(judge.bodies) == asked


@pytest.mark.slow
def test_a_server_that_is_not_there_is_named(judge: JudgeServer) -> None:
    with pytest.raises(InputError, match=r"^http://127.0.0.1:9/v1/chat/completions did not answer"):
        ask_all(JudgeApi("http://127.0.0.1:9/v1/", "m"), ASKED[:1], at_once=1)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("127.0.0.1:8000/v1", "--url must be such as http://127.0.0.1:8000/v1"),
        ("ftp://127.0.0.1/v1", "--url must be such as"),
        ("http://judge.example/v1", "would get MEDTUNE_JUDGE_KEY without encryption"),
    ],
)
def test_a_wrong_or_unsafe_address_is_refused(url: str, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        ask_all(JudgeApi(url, "m", key="secret"), [], at_once=1)
