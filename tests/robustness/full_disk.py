"""Runs stages while their n-th write fails, for every n, and tells how each of them ended.

It runs as a separate process, because it forks and because the library that makes writes fail has
to be there from its start:

    LD_PRELOAD=failing_writes.so python -m tests.robustness.full_disk PROJECT LIBRARY EVERY
"""

import ctypes
import errno
import json
import os
import runpy
import shutil
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.robustness.audit import Stage, stages
from tests.robustness.kills import LIBRARIES

FAILURES = (errno.ENOSPC, errno.EIO)
SKIPPED = ("_cost.json",)  # differ between two equal runs


def outputs(project: Path, stage: Stage) -> dict[str, bytes]:
    """Returns all files below the stage's outputs, and unfinished ones beside them."""
    found = {}
    for name in (*stage.outs, *stage.partials):
        top = project / name
        files = top.rglob("*") if top.is_dir() else [top]
        found |= {str(f.relative_to(project)): f.read_bytes() for f in files if f.is_file()}
    return {name: content for name, content in found.items() if not name.endswith(SKIPPED)}


def attempt(library: ctypes.CDLL, project: Path, stage: Stage, n: int, error: int) -> Any:
    """Runs a stage in a child, whose n-th write fails; returns exit code, writes and last lines."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code: Any = 1
        try:
            os.chdir(project)
            sys.path.insert(0, str(project))
            os.dup2(writing, 2)
            sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8")
            signal.alarm(120)
            _, _, module, *arguments = stage.command.split()
            sys.argv = [module, *arguments]
            library.arm(n, error)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        finally:
            print(f"\nwrites {library.count()}", file=sys.stderr)  # after a progress bar
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as said:
        *lines, writes = said.read().splitlines() or [""]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, int(writes.removeprefix("writes ") or 0), lines


def break_stage(library: ctypes.CDLL, project: Path, stage: Stage, every: int) -> dict[str, Any]:
    """Fails each `every`-th write of a stage, and names the cases that did not end well."""
    expected = outputs(project, stage)
    code, writes, lines = attempt(library, project, stage, 0, 0)
    assert code == 0 and outputs(project, stage) == expected, lines
    bad, cases = [], 0
    for n in range(1, writes + 1, every):
        for error in FAILURES:
            # With the checkpoint of the case before, a training would end before its n-th write.
            shutil.rmtree(project / "checkpoints", ignore_errors=True)
            code, _, lines = attempt(library, project, stage, n, error)
            cases += 1
            found = outputs(project, stage)
            whole = found.items() <= expected.items()
            named = code == 0 or (code == 1 and "Traceback" not in "\n".join(lines))
            if not (whole and named and (code or found == expected)):
                strange = sorted(name for name in found if found[name] != expected.get(name))
                bad.append([n, errno.errorcode[error], code, strange, lines[-3:]])
    code, _, lines = attempt(library, project, stage, 0, 0)
    if code or outputs(project, stage) != expected:
        bad.append(["the next run", code, lines[-3:]])
    return {"writes": writes, "cases": cases, "bad": bad}


def main(project: Path, path: str, every: int, names: list[str]) -> None:
    for name in LIBRARIES if not names else ("pyarrow.parquet", "pydantic", "ftfy"):
        import_module(name)
    library = ctypes.CDLL(path)
    found = {
        name: break_stage(library, project, stage, every)
        for name, stage in stages(project).items()
        if not names or name in names
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
