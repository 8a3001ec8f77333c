"""Measures the chat server with one client, with several at once, and under a longer load.

Starts `medtune chat` with models/base and models/adapter and asks it test questions over loopback,
greedy and streamed. Prints the time to the first token and the rates.

    python -m benchmarks.serve
    python -m benchmarks.serve --load-clients 50 --load-seconds 120
"""

import argparse
import asyncio
import itertools
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np
import psutil

from benchmarks.measured import machine, versions
from medtune.modeling.loading import require
from medtune.modeling.token_files import TOKENS, read_tokens
from medtune.runtime.errors import InputError
from medtune.runtime.stage import one_line_errors, set_up_logging

logger = logging.getLogger("medtune")

PACKAGES = ("torch", "transformers", "fastapi", "uvicorn")
MEMORY_AT = {"start": 0.1, "middle": 0.5, "end": 1.0}  # shares of the load's time
MODEL = "finetuned"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    address: str
    pid: int

    def memory_gib(self) -> float:
        return psutil.Process(self.pid).memory_info().rss / 2**30


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Starts the server in a project's folder, on a free port of the loopback interface."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http://\S+?:\d+", said)
            if not found:
                raise InputError("the server did not start: see its error above")
            yield Server(found[0], process.pid)
        finally:
            process.terminate()


@dataclass
class Reply:
    """`first_s` is the time to the first text, None where the request was refused."""

    status: int
    text: str = ""
    tokens: int = 0
    first_s: float | None = None
    retry_after_s: float = 0.0


class Client:
    def __init__(self, address: str, max_tokens: int) -> None:
        self.http = httpx2.AsyncClient(base_url=address, timeout=300, limits=httpx2.Limits())
        self.max_tokens = max_tokens

    async def ask(self, question: str) -> Reply:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        start = time.perf_counter()
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as response:
            reply = Reply(response.status_code)
            if reply.status != 200:
                reply.retry_after_s = float(response.headers.get("retry-after", 0))
                return reply
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line.removeprefix("data: "))
                for choice in event.get("choices", ()):
                    reply.text += choice["delta"].get("content", "")
                if reply.text and reply.first_s is None:
                    reply.first_s = time.perf_counter() - start
                if event.get("usage"):
                    reply.tokens = event["usage"]["completion_tokens"]
                if "error" in event:
                    reply.status = 500
        return reply


async def throughput(
    client: Client, questions: Sequence[str], clients: int
) -> tuple[list[Reply], float]:
    """Returns the replies to all questions, which the clients share, and tokens per second."""
    waiting = iter(enumerate(questions))
    replies: dict[int, Reply] = {}

    async def work() -> None:
        for number, question in waiting:
            replies[number] = await client.ask(question)

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    seconds = time.perf_counter() - start
    ordered = [replies[number] for number in range(len(questions))]
    if refused := [reply.status for reply in ordered if reply.status != 200]:
        raise InputError(f"the server refused {len(refused)} requests with {refused[0]}")
    return ordered, sum(reply.tokens for reply in ordered) / seconds


async def load(
    client: Client, questions: Sequence[str], clients: int, seconds: float
) -> list[Reply]:
    """Returns all replies to clients that ask without a pause; if refused, they wait as told."""
    asked, replies = itertools.cycle(questions), []
    end = time.perf_counter() + seconds

    async def work() -> None:
        while time.perf_counter() < end:
            try:
                replies.append(await client.ask(next(asked)))
            except httpx2.HTTPError:
                replies.append(Reply(0))
            await asyncio.sleep(replies[-1].retry_after_s)

    await asyncio.gather(*(work() for _ in range(clients)))
    return replies


async def memory(server: Server, seconds: float) -> dict[str, float]:
    """Returns the server's resident memory in GiB during a load, at MEMORY_AT."""
    start, found = time.perf_counter(), {}
    for name, share in MEMORY_AT.items():
        await asyncio.sleep(start + share * seconds - time.perf_counter())
        found[f"memory_{name}_gib"] = server.memory_gib()
    return found


async def measure(server: Server, questions: list[str], options: Any) -> dict[str, Any]:
    client = Client(server.address, options.max_tokens)
    first = await client.ask(questions[0])
    results: dict[str, Any] = {"first_token_s": first.first_s}
    rates: dict[int, list[float]] = {1: [], options.clients: []}
    texts = {}
    for number in range(options.rounds):
        order = sorted(rates, reverse=number % 2 == 1)
        for clients in order:
            replies, rate = await throughput(client, questions, clients)
            rates[clients].append(rate)
            texts[clients] = [reply.text for reply in replies]
            logger.info(f"round {number + 1}: {clients} clients {rate:.1f} tokens/s")
    alone, together = rates[1], rates[options.clients]
    results |= {
        "tokens_per_s_of_one": median(alone),
        "tokens_per_s_together": median(together),
        "times_one": median(b / a for a, b in zip(alone, together, strict=True)),
        "equal_answers": sum(map(str.__eq__, texts[1], texts[options.clients])),
        "questions": len(questions),
    }
    if options.load_clients:
        replies, gib = await asyncio.gather(
            load(client, questions, options.load_clients, options.load_seconds),
            memory(server, options.load_seconds),
        )
        results["load"] = describe_load(replies, options.load_seconds) | gib
    return results


def describe_load(replies: Sequence[Reply], seconds: float) -> dict[str, Any]:
    first = [reply.first_s for reply in replies if reply.first_s is not None]
    statuses = Counter(str(reply.status) for reply in replies)
    return {
        "statuses": dict(sorted(statuses.items())),
        "errors": sum(count for status, count in statuses.items() if status not in ("200", "503")),
        "first_token_p50_s": float(np.percentile(first, 50)),
        "first_token_p95_s": float(np.percentile(first, 95)),
        "tokens_per_s": sum(reply.tokens for reply in replies) / seconds,
    }


def shown(results: dict[str, Any], options: argparse.Namespace) -> str:
    lines = [
        f"first token after the start {results['first_token_s']:.2f} s",
        f"one client {results['tokens_per_s_of_one']:.1f} tokens/s, {options.clients} clients "
        f"{results['tokens_per_s_together']:.1f}: {results['times_one']:.2f} ×, "
        f"{results['equal_answers']} of {results['questions']} answers equal",
    ]
    if load := results.get("load"):
        gib = [f"{load[f'memory_{name}_gib']:.2f}" for name in MEMORY_AT]
        lines.append(
            f"{options.load_clients} clients for {options.load_seconds:g} s: answers by status "
            f"{load['statuses']}, first token after {load['first_token_p50_s']:.2f} s (median), "
            f"{load['first_token_p95_s']:.2f} s (p95), {load['tokens_per_s']:.0f} tokens/s, "
            f"memory {' → '.join(gib)} GiB"
        )
    return "\n".join([*lines, f"{machine()}; {versions(*PACKAGES)}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add: Any = parser.add_argument
    add("--questions", type=int, default=24)
    add("--clients", type=int, default=8)
    add("--rounds", type=int, default=3)
    add("--max-tokens", type=int, default=96)
    add("--load-clients", type=int, default=0, help="0 leaves the load test out")
    add("--load-seconds", type=float, default=120)
    options = parser.parse_args()
    set_up_logging("benchmark")
    with one_line_errors():
        require(TOKENS / "test.arrow", "tokenize")
        questions = read_tokens(TOKENS / "test.arrow")["question"].to_pylist()[: options.questions]
        with running(Path.cwd()) as server:
            results = asyncio.run(measure(server, questions, options))
        print(shown(results, options))


if __name__ == "__main__":
    main()
