"""Engines that have no place in the project's environment: each runs in an interpreter of its own.

An engine's process loads the model, then reads prompts (token ids), a line of JSON for each turn,
and writes their answers as one line. It knows nothing of the project but this module.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from medtune.runtime.errors import InputError

TITLES = {"openvino": "OpenVINO GenAI, continuous batching"}
PACKAGES = {"openvino": "openvino-genai"}
Ids = list[list[int]]


@dataclass(frozen=True)
class Job:
    """`model` is a folder as transformers saves it; `longest` counts the tokens of a prompt."""

    model: str
    threads: int
    questions: int
    longest: int
    max_new_tokens: int
    ends: list[int]


class Engine:
    """An engine's process; called like every other arm."""

    def __init__(self, name: str, python: str, job: Job) -> None:
        self.name, self.package = name, PACKAGES[name]
        threads = {"OMP_NUM_THREADS": str(job.threads), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [python, "-m", f"benchmarks.{name}_arm", json.dumps(asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads,
        )
        self.version: str = self._receive()

    def __call__(self, prompts: Ids, _: int) -> Ids:
        assert self.process.stdin
        print(json.dumps(prompts), file=self.process.stdin, flush=True)
        return self._receive()

    def close(self) -> None:
        self.process.communicate()

    def _receive(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()  # its error comes last
            raise InputError(f"the arm {self.name} stopped: its error stands above")
        return json.loads(line)


@contextmanager
def started(pythons: Mapping[str, str], job: Job) -> Iterator[dict[str, Engine]]:
    """The engines that an interpreter is named for; they end with the context."""
    with ExitStack() as stack:
        running = {}
        for name, python in pythons.items():
            running[name] = Engine(name, python, job)
            stack.callback(running[name].close)
        yield running


def serve(name: str, load: Callable[[Job], Callable[[Ids], Ids]]) -> None:
    """The other end of the line: what `load` returns answers prompts."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)  # whatever libraries print goes to standard error
        answer = load(Job(**json.loads(sys.argv[1])))
        print(json.dumps(importlib.metadata.version(PACKAGES[name])), file=channel, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), file=channel, flush=True)
