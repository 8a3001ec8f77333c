import os
import subprocess
import sys

import pytest


def test_windows_is_told_to_use_wsl_in_one_line() -> None:
    code = "import sys; sys.platform = 'win32'; import medtune.runtime.stage"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "medtune runs on Linux and macOS; on Windows, run it in WSL\n"


@pytest.mark.parametrize(
    ("given", "used"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")]
)
def test_waiting_threads_sleep_unless_the_user_wants_them_to_spin(
    given: dict[str, str], used: str
) -> None:
    code = "import os, medtune; print(os.environ['OMP_WAIT_POLICY'])"
    others = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=others | given, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == used
