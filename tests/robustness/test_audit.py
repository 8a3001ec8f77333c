"""A stage touches what dvc.yaml declares and nothing else, as strace sees it.

All stages, in some minutes: make audit
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.robustness.audit import Stage, audit, calls_of, judge, stages


def traces() -> bool:
    """Returns whether strace is installed and may trace, which some containers forbid."""
    if not shutil.which("strace"):
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


needs_strace = pytest.mark.skipif(not traces(), reason="needs strace")

PROJECT = Path("/project")
ADAPTER = "models/adapter/adapter_config.json"
TRAIN = Stage("train", "python -m stages.train", ("models/base", "stages/train.py"), (ADAPTER,))
COMPARE = Stage("compare", "python -m stages.compare", (ADAPTER,), ("models/adapter/README.md",))
PLANTED = """
import socket
Path("data/raw/smoke_cards.csv").read_bytes()
Path("notes.txt").write_text("x")
Path("metrics/clean.json").rename("metrics/other.json")
Path("models/.base.partial").mkdir()
socket.socket().listen()
socket.socket().connect_ex(("127.0.0.1", 9))

if __name__"""


@pytest.fixture
def project(smoke: Path, tmp_path: Path) -> Path:
    return shutil.copytree(smoke, tmp_path / "project", symlinks=True)


def opened(path: str, flags: str) -> str:
    return f'openat(AT_FDCWD</project>, "{path}", {flags}) = 3</project/{path}>'


def bound(address: str, port: int, protocol: str = "TCPv6") -> str:
    port_and_flow = f"sin6_port=htons({port}), sin6_flowinfo=htonl(0)"
    host = f'inet_pton(AF_INET6, "{address}", &sin6_addr), sin6_scope_id=0'
    return f"bind(3<{protocol}:[7]>, {{sa_family=AF_INET6, {port_and_flow}, {host}}}, 28) = 0"


def findings(line: str, stage: Stage) -> list[str]:
    return [finding for call in calls_of([f"7 {line}"]) for finding in judge(call, PROJECT, stage)]


@pytest.mark.parametrize(
    "line",
    [
        opened("models/base/config.json", "O_RDONLY"),
        opened("stages/__pycache__/train.cpython-311.pyc", "O_RDONLY"),
        opened(ADAPTER, "O_WRONLY|O_CREAT"),
        opened("models/.adapter.partial/tokenizer.json", "O_WRONLY|O_CREAT"),
        opened("models/.adapter.partial/tokenizer.json", "O_RDONLY"),
        bound("::1", 0),
        "listen(3<UNIX-STREAM:[7]>, 128) = 0",
    ],
)
def test_a_stage_may_write_beside_its_outputs_and_urllib3_may_try_ipv6(line: str) -> None:
    assert findings(line, TRAIN) == []


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        (opened("models/.base.partial", "O_WRONLY|O_CREAT"), TRAIN),
        (opened("models/adapter.partial", "O_WRONLY|O_CREAT"), TRAIN),
        (opened("models/.partial/adapter/x", "O_WRONLY|O_CREAT"), TRAIN),
        (opened("models/adapter/README.md", "O_WRONLY|O_CREAT"), TRAIN),
        (opened("models/.adapter.partial/x", "O_WRONLY|O_CREAT"), COMPARE),
        (opened("data/raw/cards.csv", "O_RDONLY"), TRAIN),
        (opened("stages/__pycache__/split.cpython-311.pyc", "O_RDONLY"), TRAIN),
        (opened("stages/train.pyc", "O_RDONLY"), TRAIN),
        (bound("::1", 80), TRAIN),
        (bound("::", 0), TRAIN),
        (bound("::1", 0, "UDPv6"), TRAIN),
        (bound("::1", 0).replace("bind", "connect"), TRAIN),
        ("listen(3<TCPv6:[[::1]:33583]>, 128) = 0", TRAIN),
        ("listen(3<TCP:[7]>, 128) = 0", TRAIN),
        ("sendmmsg(3<UDP:[7]>, [{msg_hdr={msg_name={sa_family=AF_INET, …}}}], 1, 0) = 1", TRAIN),
    ],
)
def test_a_look_alike_of_what_is_allowed_is_named(line: str, stage: Stage) -> None:
    assert len(findings(line, stage)) == 1


@needs_strace
@pytest.mark.parametrize("name", ["train", "compare"])
def test_a_stage_touches_what_it_declares(project: Path, name: str) -> None:
    assert audit(project, stages(project)[name]) == []


@needs_strace
def test_what_a_stage_does_not_declare_is_named(project: Path) -> None:
    code = project / "stages/split.py"
    code.write_text(code.read_text().replace("\nif __name__", PLANTED))
    address = 'sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16'
    assert audit(project, stages(project)["split"]) == [
        "listens for connections",
        "reads data/raw/smoke_cards.csv",
        f"uses the network: connect sa_family=AF_INET, {address}",
        "writes metrics/clean.json",
        "writes metrics/other.json",
        "writes models/.base.partial",
        "writes notes.txt",
    ]
