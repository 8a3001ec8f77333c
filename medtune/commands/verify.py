"""`medtune verify`: compares every output, and DVC's cache, with the recorded hashes."""

from typing import Annotated

import typer

from medtune.runtime.errors import InputError

EXAMPLES = ("medtune verify", "medtune verify --lock")


def verify(
    lock: Annotated[
        bool, typer.Option("--lock", help="Only mend dvc.lock if a killed run has cut it off.")
    ] = False,
) -> None:
    """Find damaged files, and say how to restore them.

    Reads every output and every file in DVC's cache; the exit code is 1 if one is damaged. Every
    command of medtune mends dvc.lock before it starts, and checks the files that it reads.
    """
    from medtune.artifacts.lock_file import mend, require_whole
    from medtune.artifacts.verification import damaged_objects, damaged_outputs, recorded_outputs

    mend(thorough=True)
    require_whole()
    if lock:
        return

    outputs = recorded_outputs()
    if not outputs:
        raise InputError("dvc.lock records no outputs: run dvc repro")
    damage = [*damaged_outputs(outputs), *damaged_objects(outputs)]
    for line in damage:
        print(line)
    if damage:
        raise InputError(f"{len(damage)} files are damaged or missing: follow the lines above")
    print(f"{len(outputs)} outputs and DVC's cache are what dvc.lock recorded")
