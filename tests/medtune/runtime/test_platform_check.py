import subprocess
import sys


def test_windows_is_told_to_use_wsl_in_one_line() -> None:
    code = "import sys; sys.platform = 'win32'; import medtune.runtime.stage"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "medtune runs on Linux and macOS; on Windows, run it in WSL\n"
