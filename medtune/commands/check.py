"""`medtune check`: checks what a run needs before it starts."""

from typing import Annotated

import typer

EXAMPLES = ("medtune check", "medtune check --device t4", "medtune check --time")


def complete_devices(incomplete: str) -> list[str]:
    from medtune.preflight.known_gpus import GPUS

    return [name for name in ("cpu", *GPUS) if name.startswith(incomplete)]


def check(
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Calculate the memory for this GPU, even if this machine lacks it.",
            autocompletion=complete_devices,
        ),
    ] = None,
    time: Annotated[
        bool, typer.Option("--time", help="Run a few steps and estimate the duration.")
    ] = False,
) -> None:
    """Check memory, disk and sources before a long run.

    Checks the current params.yaml; the exit code is 1 if the run cannot work.
    """
    from medtune.preflight.checks import check
    from medtune.runtime.progress import heartbeat

    with heartbeat():
        check(device, time_steps=time)
