"""A team's remote: what one clone pushed, another one has without running a stage."""

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.loopback_server import free_port
from tests.projects import ENVIRONMENT, commit_all, run, warm_environment
from tests.waiting import until

pytestmark = pytest.mark.slow

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "us-east-1"}
QUESTION = '{"model": "finetuned", "messages": [{"role": "user", "content": "What is gout?"}]}'


@pytest.fixture
def s3_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty S3 on loopback, which has a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setitem(ENVIRONMENT, name, value)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="bucket")
    yield address
    server.stop()


@pytest.fixture
def ssh_port(tmp_path: Path) -> Iterator[int]:
    """The port of an SSH server on loopback that speaks SFTP and knows one key."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(tmp_path / "key"))
    (tmp_path / "authorized").write_bytes(key.export_public_key())
    loop, port = asyncio.new_event_loop(), []

    async def listen() -> None:
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(tmp_path / "authorized"),
            sftp_factory=True,
        )
        port.append(server.get_port())

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(listen(), loop).result(20)
    yield port[0]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def first(smoke: Path, tmp_path: Path) -> Path:
    """A clone with a finished and committed run, whose `origin` is a bare repository."""
    folder = shutil.copytree(smoke, tmp_path / "first", symlinks=True)
    commit_all(folder, "run")
    run(tmp_path, "git", "clone", "-q", "--bare", "first", "origin.git")
    run(folder, "git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    return folder


def add_remote(folder: Path, url: str, **options: str) -> None:
    run(folder, "dvc", "remote", "add", "-d", "storage", url)
    for name, value in options.items():
        run(folder, "dvc", "remote", "modify", "storage", name, value)


def clone(first: Path) -> Path:
    """A new clone with the remote of the first one, and an empty cache."""
    folder = first.with_name("second")
    run(first.parent, "git", "clone", "-q", "origin.git", "second")
    shutil.copy(first / ".dvc/config", folder / ".dvc/config")
    assert not (folder / "models/base").exists()
    return folder


def answer_of_chat(folder: Path) -> str:
    """What `medtune chat` of a folder answers over its API."""
    port = free_port()
    command = ["python", "-m", "medtune", "chat", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=warm_environment(), stdout=-3, stderr=-3)
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return urlopen(f"{address}/ready").status == 200
        except OSError:
            return False

    try:
        until(ready, 120)
        headers = {"Content-Type": "application/json"}
        asked = Request(f"{address}/v1/chat/completions", QUESTION.encode(), headers)
        return urlopen(asked).read().decode()
    finally:
        server.terminate()
        server.wait()


def assert_nothing_to_do(folder: Path) -> None:
    said = run(folder, "dvc", "repro").stdout
    assert "Running stage" not in said and "up to date" in said


def test_a_clone_gets_a_run_from_s3_and_its_chat_answers(first: Path, s3_url: str) -> None:
    add_remote(first, "s3://bucket/medtune", endpointurl=s3_url)
    run(first, "dvc", "push")
    second = clone(first)
    run(second, "dvc", "pull")
    assert_nothing_to_do(second)
    assert '"role":"assistant"' in answer_of_chat(second).replace(" ", "")


def test_a_clone_gets_a_run_over_ssh(first: Path, ssh_port: int) -> None:
    user, key, storage = "student", str(first.with_name("key")), first.with_name("storage")
    add_remote(first, f"ssh://{user}@127.0.0.1:{ssh_port}{storage}", keyfile=key)
    run(first, "dvc", "push")
    second = clone(first)
    run(second, "dvc", "pull")
    assert_nothing_to_do(second)


def test_an_experiment_travels_through_a_bare_repository_and_a_folder(first: Path) -> None:
    add_remote(first, str(first.with_name("storage")))
    run(first, "dvc", "push")
    run(first, "dvc", "exp", "run", "--temp", "-n", "wide", "-S", "compare.confidence=0.9")
    run(first, "dvc", "exp", "push", "origin", "wide")
    second = clone(first)
    run(second, "dvc", "pull")
    run(second, "dvc", "exp", "pull", "origin", "wide")
    run(second, "dvc", "exp", "apply", "wide")
    assert "confidence: 0.9" in (second / "params.yaml").read_text()
    assert_nothing_to_do(second)
