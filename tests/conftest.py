"""What all tests share: a tiny model, a finished smoke run, a check for processes left behind."""

import fcntl
import gc
import os
import shlex
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import warm_python
from tests.hub_server import HubServer, running_hub

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models: more threads only wait for each other
os.environ["DVC_NO_ANALYTICS"] = "1"
for who in ("AUTHOR", "COMMITTER"):  # of the tests' commits, wherever they are made
    os.environ |= {f"GIT_{who}_NAME": "medtune", f"GIT_{who}_EMAIL": "medtune@example.org"}
# Every process that a test starts inherits this variable, and keeps it when its parent ends.
os.environ["MEDTUNE_TEST_SESSION"] = SESSION = uuid.uuid4().hex
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
WORKER_BYTES, MOST_WORKERS = 3 * 2**30, 4
LONGEST = ("test_quickstart.py", "test_graph.py")
# `nohup make test &` ignores SIGINT, which children inherit: tests could not interrupt them.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Returns the processes of `--numprocesses auto`: one more than cores, as tests wait at times.

    Each may need WORKER_BYTES, so that there are fewer where memory is short.
    """
    if config.option.numprocesses != "auto":
        return None
    cores = psutil.cpu_count() or 1
    fitting = psutil.virtual_memory().available // WORKER_BYTES
    return max(1, min(cores + 1, fitting, MOST_WORKERS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Forks the processes of pytest-xdist from one that has loaded the libraries.

    Their tests' commands are forked from the same. Fast tests have none: in `make check`, loading
    would take longer than it saves.
    """
    if config.option.markexpr == "not slow":
        return
    os.environ[warm_python.FOLDER_VARIABLE] = str(warm_python.folder())
    for spec in specs:
        spec.python = shlex.quote(str(warm_python.folder() / warm_python.WORKER_COMMAND))


if WORKER:
    gc.disable()  # what collection imports stays: to look through it again and again takes seconds
    if warm_python.FOLDER_VARIABLE not in os.environ:
        yaml_folder = tempfile.TemporaryDirectory()  # is removed with this variable
        warm_python.remember_yaml(Path(yaml_folder.name))


def pytest_collection_finish() -> None:
    """Looks for garbage from here on, and only among what tests make."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts slow tests first, so that the processes of pytest-xdist end at about the same time.

    The longest come first of all: one makes the smoke run and one waits for it, while others need
    none. What takes minutes runs only if its marker is asked for.
    """
    if "architectures" not in config.option.markexpr:
        items[:] = [item for item in items if not item.get_closest_marker("architectures")]
    for item in items:
        if "robustness" in item.path.parts:
            item.add_marker("slow")
    items.sort(
        key=lambda item: (
            item.get_closest_marker("slow") is None,
            LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST),
        )
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of tests that make up their own cases, for long runs."""
    add = parser.getgroup("medtune").addoption
    add("--fuzz-cases", type=int, default=250, help="damaged files of each format")
    add("--kills", type=int, default=21, help="trainings that are killed")
    add("--graph-kills", type=int, default=0, help="kills at each stage of the graph")
    add("--kill-way", help='the only way of killing, such as "SIGKILL to all"')
    add("--every-write", action="store_true", help="let every write of every stage fail")
    add("--api-examples", type=int, default=20, help="made-up requests of each operation")


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama with a byte-level tokenizer."""
    from medtune.sources.conversion import write_random_llama

    folder = tmp_path_factory.mktemp("models") / "base"
    write_random_llama(folder, seed=0)
    return folder


@pytest.fixture(scope="session")
def tokenizer(base_folder: Path) -> Any:
    from medtune.modeling.loading import load_tokenizer

    return load_tokenizer(base_folder)


@pytest.fixture
def encoder(tokenizer: Any) -> Any:
    from medtune.modeling.prompts import PromptEncoder, PromptFormat

    return PromptEncoder(tokenizer, PromptFormat("chat", "Be brief."))


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A model hub on loopback, which is asked in place of the real one, without waits."""
    import huggingface_hub.constants

    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("medtune.sources.hub.HUB_WAITS_S", (0.0, 0.0))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield server


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the smoke preset has run. Copy it before changing anything.

    The first process of pytest-xdist that asks for it runs the pipeline, the others wait.
    """
    from tests.projects import copy_project, run

    base = tmp_path_factory.getbasetemp()
    base = base.parent if WORKER else base
    folder, done = base / "smoke", base / "smoke.done"
    with (base / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            copy_project(folder)
            run(folder, "python", "-m", "medtune", "preset", "smoke")
            run(folder, "dvc", "repro")
            done.touch()
    return folder


def environment(process: psutil.Process) -> dict[str, str]:
    """The environment that a process was started with; empty if it has ended or is not ours."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def is_helper(process: psutil.Process) -> bool:
    """Whether this is a process of multiprocessing that ends after the one that it serves."""
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return any(f"multiprocessing.{name} " in command for name in ("forkserver", "resource_tracker"))


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_behind() -> Iterator[None]:
    """Fails if a test has left a process running, names that test and kills the process."""
    yield
    warm_python.stop()
    tests = left_behind()
    assert not tests, f"processes were left behind by {tests}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails if a command of pytest-xdist's processes, which have ended, has left one running.

    As a fork it has the mark of this session in place of theirs.
    """
    if not WORKER and os.environ.get(warm_python.FOLDER_VARIABLE):
        warm_python.stop()
        if left := left_behind():
            print(f"\nprocesses were left behind: {left}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def left_behind() -> list[str]:
    """Kills what still runs of this session and returns the tests that started it, or commands."""
    inherited = ("MEDTUNE_TEST_SESSION", SESSION)
    marked = {p for p in psutil.process_iter() if inherited in environment(p).items()}
    marked.discard(psutil.Process())
    started = marked | set(psutil.Process().children(recursive=True))  # a forked child has no mark
    _, left = psutil.wait_procs({p for p in started if not is_helper(p)}, timeout=5)
    tests = {environment(p).get("PYTEST_CURRENT_TEST", " ".join(p.cmdline())) for p in left}
    for process in left:
        process.kill()
    return sorted(tests)
