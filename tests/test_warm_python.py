"""Commands that start at once do what a new interpreter does."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import warm_python
from tests.projects import attempt, run, warm_environment
from tests.waiting import until

pytestmark = pytest.mark.slow


def test_the_code_of_the_folder_runs_with_its_arguments_and_exit_code(tmp_path: Path) -> None:
    code = "import sys\nprint(sys.argv, 'torch' in sys.modules)\nsys.exit(int(sys.argv[1]))\n"
    (tmp_path / "stage.py").write_text(code)
    done = attempt(tmp_path, "python", "-m", "stage", "3")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"{[str(tmp_path / 'stage.py'), '3']} True\n"


def test_what_it_starts_itself_has_the_libraries_too(tmp_path: Path) -> None:
    code = "import os, sys\nos.execv(sys.executable, [sys.executable, '-u', '-m', 'second'])\n"
    (tmp_path / "first.py").write_text(code)
    (tmp_path / "second.py").write_text("import sys\nprint('torch' in sys.modules)\n")
    assert run(tmp_path, "python", "-m", "first").stdout == "True\n"


def test_the_process_of_a_killed_command_ends(tmp_path: Path) -> None:
    code = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"
    (tmp_path / "stage.py").write_text(code)
    command = ["python", "-m", "stage"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=warm_environment(), stdout=subprocess.PIPE, text=True
    ) as asking:
        assert asking.stdout
        number = int(asking.stdout.readline())
        assert number != asking.pid and psutil.pid_exists(number)
        asking.kill()
    until(lambda: not psutil.pid_exists(number))


def test_a_client_that_is_killed_before_it_asks_harms_no_other(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(warm_python.folder() / "socket"))
    (tmp_path / "stage.py").write_text("print('here')\n")
    assert run(tmp_path, "python", "-m", "stage").stdout == "here\n"


LOCK = """
import sys
from dvc.utils.serialize import modify_yaml
from ruamel.yaml.composer import Composer

if sys.argv[1] == "warm":
    Composer.get_single_node = None  # nothing is parsed that has just been written
params = {"lr": 1e-05, "path": "yes", "none": None, "on": True, "kinds": ["1.0", []], "map": {}}
texts = {"long": "a: b " * 30, "lines": "one\\ntwo\\n", "shared": params}
for name in ("clean", "train", "clean"):
    with modify_yaml("dvc.lock") as lock:
        stages = lock.setdefault("stages", {})
        stages[name] = {"cmd": f"run {name}", "params": {"params.yaml": params}, "texts": texts}
"""


def test_what_dvc_writes_into_a_remembered_file_is_what_it_writes_into_any(tmp_path: Path) -> None:
    written = []
    for name, python in (("warm", "python"), ("new", sys.executable)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "changes.py").write_text(LOCK)
        run(tmp_path / name, python, "-m", "changes", name)
        written.append((tmp_path / name / "dvc.lock").read_text())
    assert written[0] == written[1] and "run train" in written[0]


READS = """
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer

print(YAML(typ="safe").load("a: 1e-05"))
Composer.get_single_node = None  # nothing can be parsed any more
print(YAML(typ="safe").load("a: 1e-05"))
YAML(typ="rt").load("a: 1e-05")
"""


def test_a_text_is_parsed_once_by_parsers_of_equal_settings(tmp_path: Path) -> None:
    (tmp_path / "reads.py").write_text(READS)
    done = attempt(tmp_path, "python", "-m", "reads")
    assert done.stdout == "{'a': 1e-05}\n" * 2
    assert done.returncode == 1 and "get_single_node" in done.stderr
