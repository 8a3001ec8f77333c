"""The command line: `medtune`, or `python -m medtune` where it is not installed.

A command is one function with typer annotations in medtune/commands/, added below. It imports what
is heavy where it uses it, so that help and completion stay instant. Another package adds commands
by an entry point of the group `medtune.commands`, as the chat does: medtune imports no app.
"""

import sys
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING, Annotated

from medtune.commands.missing_packages import INSTALL, failed_import

if TYPE_CHECKING:
    import typer

HELP = """Fine-tune a small language model on question-answer cards and see what changed.

`dvc repro` runs the pipeline with the settings of params.yaml. These commands do the rest.
"""

CARDS = ("data/split", "data/tokens", "metrics")
ANSWERS = ("data/predictions", "data/split", "metrics")


def command_line() -> "typer.Typer":
    """The command `medtune` with all its subcommands."""
    from medtune.commands import (
        ask,
        check,
        curve,
        export,
        judge,
        leaderboard,
        preset,
        push,
        replicate,
        space,
        summary,
        tokens,
        verify,
        votes,
    )
    from medtune.commands.base import add, new_app

    cli = new_app(HELP)
    add(cli, preset.preset, *preset.EXAMPLES)
    add(cli, check.check, *check.EXAMPLES)
    add(cli, summary.summary, *summary.EXAMPLES, reads=("metrics",))
    add(cli, leaderboard.leaderboard, *leaderboard.EXAMPLES, reads=("metrics",))
    add(cli, replicate.replicate, *replicate.EXAMPLES, reads=ANSWERS)
    add(cli, curve.curve, *curve.EXAMPLES, reads=ANSWERS)
    add(cli, judge.judge, *judge.EXAMPLES, reads=ANSWERS)
    add(cli, votes.votes, *votes.EXAMPLES, reads=("models/adapter",))
    add(cli, ask.ask, *ask.EXAMPLES, reads=("models", "data/tokens/prompt.json"))
    add(cli, tokens.tokens, *tokens.EXAMPLES, reads=("models/base", "data/tokens"))
    add(cli, push.push, *push.EXAMPLES, reads=("models/adapter",))
    add(cli, verify.verify, *verify.EXAMPLES)
    exports = new_app(export.__doc__)
    add(exports, export.cards, *export.CARDS_EXAMPLES, reads=CARDS)
    add(exports, export.merged, *export.MERGED_EXAMPLES)
    add(exports, export.gguf, *export.GGUF_EXAMPLES)
    add(exports, space.space, *space.EXAMPLES, reads=("models",))
    cli.add_typer(exports, name="export")
    others = entry_points(group="medtune.commands")
    for entry_point in others:
        entry_point.load()(cli)
    if not others:
        cli.info.epilog = "`medtune chat` is here too after `make .venv/app`."
    _add_version(cli)
    return cli


def _add_version(cli: "typer.Typer") -> None:
    import typer

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(installed_version())
            raise typer.Exit

    @cli.callback()
    def medtune(
        version: Annotated[
            bool,
            typer.Option(
                "--version", help="Show the version.", callback=show_version, is_eager=True
            ),
        ] = False,
    ) -> None:
        pass


def installed_version() -> str:
    try:
        return version("medtune")
    except PackageNotFoundError:
        return f"not installed: run `{INSTALL}`"


def main() -> None:
    try:
        cli = command_line()
    except ModuleNotFoundError as error:
        sys.exit(f"medtune: {failed_import(error)}")
    cli(prog_name="medtune")


if __name__ == "__main__":
    main()
