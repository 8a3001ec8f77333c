"""A batch whose rows say what they are told to, a token a step, and servers over it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.__main__ import listen as open_port
from app.api.server import create_app
from app.assistant import Assistant
from app.continuous_batching.log_probabilities import TokenScores
from app.guard_remarks import Remarks
from app.limits import Limits
from app.request_queue import Engine
from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.modeling.prompts import ChatMessage, PromptEncoder

END = 0


class SpokenBatch:
    """Its rows say `reply`, as ids, and then END for ever; a step takes `step_s`.

    One without new rows waits for `gate`.
    """

    def __init__(self, reply: Sequence[int] = (1, 2, 3)) -> None:
        self.reply = list(reply)
        self.gate = threading.Event()
        self.gate.set()
        self.step_s = 0.0
        self.is_open = True
        self.said: list[int] = []  # of each row
        self.prompts: list[list[int]] = []  # of all rows that have ever joined
        self.params: list[Evaluate] = []  # likewise
        self.scored: list[list[list[int]]] = []  # the texts of each pass
        self.joined: list[int] = []  # how many rows joined each time
        self.steps = 0
        self.error: Exception | None = None

    def join(
        self, prompts: Sequence[list[int]], params: Sequence[Evaluate], seeds: Sequence[Any]
    ) -> None:
        if self.error:
            raise self.error
        self.joined.append(len(prompts))
        self.prompts += prompts
        self.params += params
        self.said += [0] * len(prompts)

    def step(self) -> list[int]:
        assert self.said
        if all(self.said):
            self.gate.wait(10)
        time.sleep(self.step_s)
        self.steps += 1
        tokens = [self.token(said) for said in self.said]
        self.said = [said + 1 for said in self.said]
        return tokens

    def keep(self, rows: Sequence[int]) -> list[int]:
        order = list(rows)[::-1]  # any order is right
        self.said = [self.said[row] for row in order]
        return order

    def clear(self) -> None:
        self.said = []

    def score(self, texts: Sequence[list[int]], likeliest: int) -> list[TokenScores]:
        """Finds the reply likely after any text, and each token less likely than the last."""
        if self.error:
            raise self.error
        self.scored.append([*texts])
        best = [(token, -float(rank)) for rank, token in enumerate([*self.reply, END], start=1)]
        return [
            TokenScores([-float(n) for n in range(1, len(ids))], [best[:likeliest]] * len(ids))
            for ids in texts
        ]

    def token(self, place: int) -> int:
        return self.reply[place] if place < len(self.reply) else END


@pytest.fixture
def params() -> Evaluate:
    return load_params("evaluate").model_copy(update={"max_new_tokens": 20, "temperature": 0.0})


@pytest.fixture
def batch() -> SpokenBatch:
    return SpokenBatch()


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    """Starts an engine of batches, which is stopped after the test."""
    engines = []

    def started(*batches: SpokenBatch, ends: int = END, run: bool = True, **limits: Any) -> Engine:
        names = ("finetuned", "base")
        engine = Engine(dict(zip(names, batches, strict=False)), {ends}, Limits(**limits))
        if run:
            engines.append((engine, batches))
            engine.start()
        return engine

    yield started
    for engine, batches in engines:
        for batch in batches:
            batch.gate.set()
        engine.stop()


@pytest.fixture
def build(
    encoder: PromptEncoder, params: Evaluate, start: Callable[..., Engine]
) -> Callable[..., FastAPI]:
    """Makes a server over batches; options other than limits are named."""

    def built(
        *batches: SpokenBatch,
        context: int = 8192,
        remarks: Callable[[Sequence[ChatMessage]], Remarks] = lambda _: Remarks(),
        key: str | None = None,
        origins: Sequence[str] = (),
        hosts: Sequence[str] = ("*",),
        run: bool = False,
        **limits: Any,
    ) -> FastAPI:
        engine = start(*batches, ends=encoder.end_id, run=run, **limits)
        assistant = Assistant(encoder, engine, params, context, remarks)
        return create_app(assistant, key, origins, hosts)

    return built


@pytest.fixture
def serve(build: Callable[..., FastAPI]) -> Iterator[Callable[..., TestClient]]:
    """Starts a server, as `build` makes it."""
    with ExitStack() as stack:

        def served(*batches: SpokenBatch, **settings: Any) -> TestClient:
            app = build(*batches, **settings)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield served


@pytest.fixture
def listen() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """Serves an application on loopback and gives its address."""

    @contextmanager
    def listening(app: FastAPI) -> Iterator[str]:
        # Without log_config: setting up logging closes all handlers, and that of absl, which
        # rouge_score imports, closes its stream then: pytest's own, while capfd has another one.
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        with open_port("127.0.0.1", 0) as listener:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                thread.join()

    return listening
