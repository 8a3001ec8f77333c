import os
import subprocess
import sys

import psutil
import pytest

from tests.projects import ROOT

pytestmark = pytest.mark.slow

# Starts a process that imports the stages as DVC's child does, and says its number.
PARENT = """
import subprocess, sys
child = "import os, time, stages; print(os.getpid(), flush=True); time.sleep(60)"
subprocess.run([sys.executable, "-c", child])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the process")
@pytest.mark.parametrize("by_dvc", [True, False])
def test_a_stage_ends_with_dvc_but_not_with_a_shell(by_dvc: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    environment |= {"DVC_STAGE": "clean"} if by_dvc else {}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent:
        stage = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        try:
            _, running = psutil.wait_procs([stage], timeout=5 if by_dvc else 0.5)
            assert bool(running) != by_dvc
        finally:
            if stage.is_running():
                stage.kill()
