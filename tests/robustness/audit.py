"""Runs stages under strace and names what they touch beyond what dvc.yaml declares.

`make audit` runs the smoke preset in a copy of the project and then each of its stages again. A
stage may read its dependencies, parameters, outputs and checkpoints, dvc.yaml and dvc.lock, the
two files that set up its process, and what the machine provides: interpreter, packages, system
libraries, matplotlib's list of fonts. It may write its outputs and checkpoints. Only download may
use the network.

    python -m tests.robustness.audit [STAGE …]
"""

import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from medtune.config.loading import read_yaml
from tests.projects import attempt, copy_project, run

CHANGING = (
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
    *("link", "linkat", "symlink", "symlinkat", "truncate", "creat"),
)
NETWORKING = ("connect", "bind", "listen", "sendto", "sendmsg", "sendmmsg")
TRACED = ("open", "openat", *CHANGING, *NETWORKING)
CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>.*)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
OPENED = re.compile(r"\d+<(?P<path>/.*)>")
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
ADDRESS = re.compile(r"sa_family=AF_INET6?, .*")
LISTENER = re.compile(r"\d+<TCP(v6)?:.*")
# urllib3 learns at its import whether there is IPv6: it binds a socket, which then does nothing.
IPV6_TEST = re.compile(r'\d+<TCPv6:.*>, \{sa_family=AF_INET6, sin6_port=htons\(0\), .*"::1", .*')
MACHINE = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/bin", "/opt")
STARTERS = ("medtune/__init__.py", "stages/__init__.py")  # no dependencies: tests/test_contract.py
ALWAYS = ("params.yaml", "dvc.yaml", "dvc.lock", "checkpoints", *STARTERS)
# Written whole, and then moved file by file: dvc.yaml lists files, because compare adds one.
FOLDERS = {"train": ("models/adapter",)}


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.lock: its command, the paths that it may read, and its outputs."""

    name: str
    command: str
    reads: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def partials(self) -> tuple[str, ...]:
        """The paths `.name.partial` beside outputs, which a stage writes and then renames."""
        whole = map(Path, (*self.outs, *FOLDERS.get(self.name, ())))
        return tuple(str(path.with_name(f".{path.name}.partial")) for path in whole)


def stages(project: Path) -> dict[str, Stage]:
    """Returns the stages that have run in the project, as dvc.lock has them."""
    found = {}
    for name, entry in read_yaml(project / "dvc.lock")["stages"].items():
        outs = [out["path"] for out in entry["outs"]]
        deps = [dep["path"] for dep in entry.get("deps", [])]
        reads = (*deps, *ALWAYS, *_local_sources(entry))
        found[name] = Stage(name, entry["cmd"], reads, tuple(outs))
    return found


def _local_sources(entry: dict[str, Any]) -> Iterator[str]:
    """The paths of `file://` among the parameters of a download."""
    for key, value in entry.get("params", {}).get("params.yaml", {}).items():
        if entry["cmd"].startswith("python -m stages.download") and str(value).startswith("file:"):
            assert key.startswith("download.")
            yield value.removeprefix("file://")


def audit(project: Path, stage: Stage) -> list[str]:
    """Runs a stage and returns what it should not have touched, each thing once."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "strace.log")
        options = ["-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", "signal=none"]
        calls = ",".join(f"?{name}" for name in TRACED)
        options += ["--decode-fds=path,socket", "-e", f"trace={calls}"]
        command = ["strace", *options, "-o", str(log)]
        surroundings = ["env", "PYTHONDONTWRITEBYTECODE=1", f"TMPDIR={scratch}"]
        _, *arguments = stage.command.split()  # of a new Python, which strace can follow
        done = attempt(project, *command, *surroundings, sys.executable, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = {line for call in calls_of(lines) for line in judge(call, project, stage)}
    return sorted(line for line in found if scratch not in line)


def calls_of(lines: Iterable[str]) -> Iterator[re.Match[str]]:
    """Yields the calls of a log; one that another process interrupted is on two lines."""
    begun: dict[str, str] = {}
    for line in lines:
        process, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[process] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        if text.startswith("<... "):
            text = begun.pop(process, "") + text.partition("resumed>")[2]
        if match := CALL.fullmatch(text):
            yield match


def judge(call: re.Match[str], project: Path, stage: Stage) -> Iterator[str]:
    """Yields what is wrong with a call, if anything."""
    if not stage.name.startswith("download"):
        yield from _network(call)
    read, written = touched(call, project)
    for path in written:
        if not _may_write(path, project, stage):
            yield f"writes {_short(path, project)}"
    for path in read:
        if not _may_read(path, project, stage):
            yield f"reads {_short(path, project)}"


def _network(call: re.Match[str]) -> Iterator[str]:
    name, arguments = call["name"], call["arguments"]
    if name == "bind" and IPV6_TEST.fullmatch(arguments):
        return
    if name in NETWORKING and (address := ADDRESS.search(arguments)):
        yield f"uses the network: {name} {address[0]}"
    if name == "listen" and LISTENER.fullmatch(arguments):
        yield "listens for connections"


def touched(call: re.Match[str], project: Path) -> tuple[list[str], list[str]]:
    """Returns the paths that a successful call has opened to read, and those it may change."""
    name, arguments = call["name"], call["arguments"]
    if name in CHANGING and not call["result"].startswith("-1"):
        named = _named(arguments, project)
        return [], named if name.startswith("rename") else named[-1:]
    opened = OPENED.match(call["result"]) if name in ("open", "openat") else None
    if not opened or Path(opened["path"]).is_dir():
        return [], []
    return ([], [opened["path"]]) if WRITES.search(arguments) else ([opened["path"]], [])


def _named(arguments: str, project: Path) -> list[str]:
    """Returns the absolute paths among the arguments of a call."""
    pairs = [(match["folder"] or str(project), match["path"]) for match in PATH.finditer(arguments)]
    return [os.path.normpath(Path(folder, path)) for folder, path in pairs]


def _may_read(path: str, project: Path, stage: Stage) -> bool:
    with suppress(ValueError):  # an earlier command may have left the compiled code
        path = source_from_cache(path)
    if any(_below(path, folder) for folder in _provided()):
        return True
    return any(_below(path, str(project / own)) for own in stage.reads) or _may_write(
        path, project, stage
    )


@cache
def _provided() -> tuple[str, ...]:
    """The folders of the system and its packages.

    matplotlib keeps its list of installed fonts in the user's folder. No picture depends on that
    list or on the settings there: see tests/medtune/report/test_figures.py.
    """
    import matplotlib

    python = (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())
    folders = (*MACHINE, *python, matplotlib.get_cachedir(), matplotlib.get_configdir())
    return tuple(os.path.realpath(folder) for folder in folders)


def _may_write(path: str, project: Path, stage: Stage) -> bool:
    """A stage also makes the folders that lead to its outputs."""
    own = [str(project / name) for name in (*stage.outs, *stage.partials, "checkpoints")]
    return path.startswith("/dev/") or any(_below(path, o) or _below(o, path) for o in own)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _short(path: str, project: Path) -> str:
    return os.path.relpath(path, project) if _below(path, str(project)) else path


def main(names: list[str]) -> int:
    if not shutil.which("strace"):
        print("make audit needs strace: install it", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder).resolve() / "project"
        project.mkdir()
        copy_project(project)
        run(project, "python", "-m", "medtune", "preset", "smoke")
        run(project, "dvc", "repro")
        count = 0
        for name, stage in stages(project).items():
            if names and name not in names:
                continue
            findings = audit(project, stage)
            count += len(findings)
            print(f"{name}: {len(findings) or 'no'} findings", *findings, sep="\n  ", flush=True)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
