"""The server as its users meet it: a separate process, called over loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from medtune.config.loading import load_params
from medtune.config.schema import Evaluate
from medtune.content.encoder import DIMENSIONS
from medtune.generation.generate import end_ids, generate
from medtune.guard.classifier import Guard, Kernel, Kinds
from medtune.modeling.adapters import add_adapter, load_adapter, save_adapter
from medtune.modeling.loading import load_base, load_tokenizer
from medtune.modeling.prompts import PromptEncoder, PromptFormat
from tests.tiny_models import as_if_trained
from tests.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
QUESTIONS = [f"What is {name}?" for name in ("gout", "Marfan syndrome", "µg", "arachnodactyly")]
KEY = "sesame"
TURN = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def folder(base_folder: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a random base model and an adapter that changes its answers."""
    project = tmp_path_factory.mktemp("project")
    (project / "models").mkdir()
    (project / "models/base").symlink_to(base_folder)
    (project / "params.yaml").symlink_to(ROOT / "params.yaml")
    model = as_if_trained(add_adapter(load_base(folder=base_folder), load_params("train"), seed=1))
    encoder = PromptEncoder(tokenizer, PromptFormat("chat", "Be brief."))
    save_adapter(model, encoder, project / "models/adapter")
    nothing = Kernel.pack(
        np.ones((1, DIMENSIONS)), np.zeros(1), bias=0.0, gamma=1.0
    )  # finds nothing, and no question not medical
    (project / "models/guard").mkdir()
    kinds = Kinds.pack(["heart"], np.zeros((1, DIMENSIONS)), np.zeros(1))
    Guard(nothing, nothing, nothing, kinds).save(project / "models/guard/guard.json")
    return project


def start(folder: Path, *options: str, key: str = KEY) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", "--port", "0", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MEDTUNE_API_KEY": key},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    server = start(folder, "--max-prompt-tokens", "500")
    assert server.stdout
    assert server.stdout.readline() == "chat: loading the models\n"
    said = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", said)
    assert found, said + server.stdout.read()
    yield found[0]
    server.send_signal(signal.SIGINT)
    assert server.stdout.read() == ""
    assert server.wait(10) == 0


@pytest.fixture
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0)


def ask(client: openai.OpenAI, question: str, model: str = "finetuned", **settings: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], **settings
    )


def expected(folder: Path, name: str, params: Evaluate) -> list[str]:
    """The answers as the evaluate stage gives them."""
    model = load_base(folder=folder / "models/base")
    if name == "finetuned":
        model = load_adapter(model, folder / "models/adapter")
    prompt_format = PromptFormat.load(folder / "models/adapter/prompt.json")
    encoder = PromptEncoder(load_tokenizer(folder / "models/base"), prompt_format)
    prompts = [encoder.question_ids(question) for question in QUESTIONS]
    ids = generate(model, prompts, params, end_ids(model, encoder))
    return [encoder.decode(own) for own in ids]


def test_answers_are_those_of_evaluate_alone_and_together(
    folder: Path, client: openai.OpenAI
) -> None:
    params = load_params("evaluate").model_copy(update={"max_new_tokens": 24})
    answers = {name: expected(folder, name, params) for name in ("base", "finetuned")}
    assert answers["base"] != answers["finetuned"]

    def got(question: str, name: str, stream: bool) -> str:
        answer = ask(client, question, name, stream=stream, max_tokens=24)
        if not stream:
            return answer.choices[0].message.content
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer)

    for name, texts in answers.items():
        assert [got(question, name, False) for question in QUESTIONS] == texts
    jobs = [(q, name, n % 2 == 0) for name in answers for n, q in enumerate(QUESTIONS)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda job: got(*job), jobs))
    assert together == [*answers["base"], *answers["finetuned"]]


def test_the_openai_client_finds_models_usage_and_reasons(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["finetuned", "base"]
    answer = ask(client, QUESTIONS[0], max_completion_tokens=5)
    assert answer.usage.completion_tokens == 5
    assert answer.choices[0].finish_reason == "length"
    chunks = list(ask(client, "Hi", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.prompt_tokens > 5


def test_a_seed_makes_sampling_repeatable(client: openai.OpenAI) -> None:
    def sampled(seed: int | None) -> str:
        settings: dict[str, Any] = {"temperature": 1.5, "top_p": 0.95, "max_tokens": 16}
        answer = ask(client, QUESTIONS[0], seed=seed, **settings)
        return answer.choices[0].message.content

    assert sampled(-3) == sampled(-3) != sampled(4)
    assert sampled(None) != sampled(None)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (openai.NotFoundError, {"model": "gpt-4"}),
        (openai.BadRequestError, {"temperature": 3}),
        (openai.BadRequestError, {"max_tokens": 513}),
        (openai.BadRequestError, {"question": "gout? " * 200}),
        (openai.AuthenticationError, {"key": "wrong"}),
    ],
)
def test_errors_reach_the_openai_client_as_its_own(
    client: openai.OpenAI, error: type[openai.APIStatusError], change: dict[str, Any]
) -> None:
    client = client.with_options(api_key=change.pop("key", KEY))
    with pytest.raises(error) as caught:
        ask(client, change.pop("question", "Hi"), **change)
    assert isinstance(caught.value.body, dict) and caught.value.body["message"]


def sent_by_hand(address: str, head: str, body: bytes = b"") -> socket.socket:
    """Sends a request by hand."""
    host, port = address.removeprefix("http://").split(":")
    sent = socket.create_connection((host, int(port)), timeout=10)
    line = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}"
    sent.sendall(f"{line}\r\nContent-Type: application/json\r\n{head}\r\n\r\n".encode() + body)
    return sent


def test_a_large_body_is_refused_before_it_has_come(address: str) -> None:
    with sent_by_hand(address, "Content-Length: 9999999999") as sent:
        assert sent.recv(999).startswith(b"HTTP/1.1 413")
    with sent_by_hand(address, "Transfer-Encoding: chunked") as sent:
        for _ in range(5):
            sent.sendall(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        assert sent.recv(999).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_place(
    build: Any, batch: Any, listen: Any, stream: bool
) -> None:
    batch.reply, batch.step_s = [65] * 10**6, 0.005
    app = build(batch, key=KEY, max_rows=2, max_new_tokens=10**6, context=10**7)
    engine = app.state.assistant.engine
    fields = {"model": "finetuned", "messages": [TURN]}
    body = json.dumps(fields | {"stream": stream, "max_tokens": 10**6}).encode()
    with listen(app) as address:
        connections = [
            sent_by_hand(address, f"Content-Length: {len(body)}", body) for _ in range(3)
        ]
        if stream:
            assert connections[0].recv(99).startswith(b"HTTP/1.1 200")
        until(lambda: len(batch.said) == 2 and engine.waiting == 1)
        for sent, left in zip(connections, (2, 1, 0), strict=True):
            sent.close()
            until(lambda left=left: len(batch.said) + engine.waiting == left)
        steps = batch.steps
        time.sleep(0.05)
        assert batch.steps == steps


def test_an_answer_does_not_wait_for_the_client_to_acknowledge_its_head(
    build: Any, batch: Any, listen: Any
) -> None:
    """Linux acknowledges after 40 ms what comes over a connection that is kept open."""
    seconds = []
    with listen(build(batch)) as address, httpx.Client() as client:
        for _ in range(20):
            began = time.perf_counter()
            assert client.get(f"{address}/health").status_code == 200
            seconds.append(time.perf_counter() - began)
    assert min(seconds[10:]) < 0.03


def test_a_body_that_does_not_come_is_not_waited_for(build: Any, batch: Any, listen: Any) -> None:
    with (
        listen(build(batch, key=KEY, body_time_limit_s=0.1)) as address,
        sent_by_hand(address, "Content-Length: 10", b"{") as sent,
    ):
        assert sent.recv(999).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(("missing", "stage"), [("adapter", "train"), ("guard", "guard")])
def test_what_is_missing_is_named_with_the_command_that_makes_it(
    folder: Path, tmp_path: Path, missing: str, stage: str
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "params.yaml").symlink_to(folder / "params.yaml")
    for name in {"base", "adapter", "guard"} - {missing}:
        (tmp_path / "models" / name).symlink_to(folder / "models" / name)
    server = start(tmp_path)
    output, _ = server.communicate(timeout=60)
    assert server.returncode == 1
    assert output.count("\n") == 1 and f"run dvc repro {stage}" in output


def test_a_port_in_use_is_one_line(folder: Path, address: str) -> None:
    server = start(folder, "--port", address.split(":")[-1])
    output, _ = server.communicate(timeout=60)
    assert server.returncode == 1
    assert output.count("\n") == 1 and "choose another --port" in output
