"""What every command of `medtune` does around its work: logging, one-line errors, help."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

FIRST_PARTY = ("app", "medtune", "stages")
PARAMS_FILE = Path("params.yaml")


class Command(TyperCommand):
    """Runs in the project folder; what the user can mend becomes one line and exit code 1."""

    installed_by = "make .venv/run"

    def invoke(self, ctx: Any) -> Any:
        name = ctx.command_path.removeprefix("medtune ")
        try:
            from medtune.runtime.errors import InputError
            from medtune.runtime.stage import one_line_errors, set_up_logging

            set_up_logging(name)
            with one_line_errors():
                if not PARAMS_FILE.exists():
                    raise InputError(
                        f"{PARAMS_FILE} is missing in this folder: "
                        "run the command in the root of the project"
                    )
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            sys.exit(f"{name}: {not_installed(error, self.installed_by)}")


def not_installed(error: ModuleNotFoundError, installed_by: str) -> str:
    """One line for a package that is not installed; a missing module of ours is a bug."""
    package = (error.name or "").partition(".")[0]
    if not package or package in FIRST_PARTY:
        raise error
    return f"the package {package} is not installed: run `{installed_by}`"


def new_app(help: str) -> typer.Typer:
    """An empty command line with the looks that all of ours share."""
    return typer.Typer(
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add(
    app: typer.Typer,
    function: Callable[..., None],
    *examples: str,
    cls: type[Command] = Command,
) -> None:
    """Makes a function with typer annotations a command of `app`, with examples in its help."""
    lines = ["\b", "Examples:", *(f"  {example}" for example in examples)]  # \b: not rewrapped
    app.command(cls=cls, epilog="\n".join(lines))(function)
