"""What every command of `medtune` does around its work: logging, one-line errors, help."""

import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from medtune.commands.missing_packages import INSTALL, failed_import


class Command(TyperCommand):
    """Runs in the project folder; an error that the user can fix is one line and exit code 1."""

    installed_by = INSTALL
    reads: tuple[str, ...] = ()  # outputs that have to be what dvc.lock records

    def invoke(self, ctx: Any) -> Any:
        name = ctx.command_path.removeprefix("medtune ")
        try:
            from medtune.artifacts.lock_file import mend
            from medtune.runtime.errors import InputError
            from medtune.runtime.params_file import PARAMS_FILE
            from medtune.runtime.stage import one_line_errors, set_up_logging

            set_up_logging(name)
            with one_line_errors():
                if not PARAMS_FILE.exists():
                    raise InputError(
                        f"{PARAMS_FILE} is missing in this folder: "
                        "run the command in the root of the project"
                    )
                mend()
                if self.reads:
                    from medtune.artifacts.verification import check_recorded

                    check_recorded(*self.reads)
                return super().invoke(ctx)
        except ModuleNotFoundError as error:
            sys.exit(f"{name}: {failed_import(error, self.installed_by)}")


def new_app(help: str) -> typer.Typer:
    """Returns an empty command line with the settings that all of ours share."""
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
    reads: tuple[str, ...] = (),
) -> None:
    """Adds a function with typer annotations to `app` as a command with examples in its help.

    Before it runs, the outputs in the folders and files `reads` are compared with dvc.lock.
    """
    cls = type(cls.__name__, (cls,), {"reads": reads})
    lines = ["\b", "Examples:", *(f"  {example}" for example in examples)]  # \b: not rewrapped
    app.command(cls=cls, epilog="\n".join(lines))(function)
