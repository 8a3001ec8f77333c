"""A loopback server with OpenAI's chat completions, whose replies a function makes."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.loopback_server import Handler, served

CODE = re.compile(r"\b[abc][0-9a-f]{6}\b")


@dataclass
class JudgeServer:
    """`reply` makes a reply of the user's message; `failures` are answered first, as statuses."""

    reply: Callable[[str], str]
    url: str = ""
    failures: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


def codes(asked: str) -> list[str]:
    """The codes for answer 1, answer 2 and a tie, from the last line of what a judge is asked."""
    return CODE.findall(asked.rpartition("\n")[2])


def texts(asked: str) -> list[str]:
    """Question, reference, answer 1 and answer 2."""
    mark = asked.splitlines()[1]
    return [part.strip("\n") for part in asked.split(f"\n{mark}\n")[1::2]]


@contextmanager
def running_judge(reply: Callable[[str], str]) -> Iterator[JudgeServer]:
    judge = JudgeServer(reply)

    class JudgeHandler(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            judge.bodies.append(body)
            judge.keys.append(self.headers["Authorization"])
            if judge.failures:
                self.answer(judge.failures.pop(0), b'{"error": {"message": "busy\\nnow"}}')
                return
            content = judge.reply(body["messages"][-1]["content"])
            message = {"role": "assistant", "content": content}
            choices = [{"index": 0, "message": message}]
            self.answer(200, json.dumps({"choices": choices}).encode())

    with served(JudgeHandler) as address:
        judge.url = f"{address}/v1"
        yield judge
