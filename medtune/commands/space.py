"""`medtune export space`: a folder that runs as a Gradio Space."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "medtune export space",
    "medtune export space ../space --adapter owner/name",
)


def space(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A new or empty folder, or one that this command wrote earlier."
        ),
    ] = Path("exports/space"),
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="REPO",
            help="Take the adapter from this repository [default: a copy of models/adapter].",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REPO",
            help="Take the base model from this repository [default: that of download.model, or "
            "a copy of models/base if that is on no hub].",
        ),
    ] = None,
) -> None:
    """Write a Gradio Space that asks both models.

    `medtune push FOLDER REPO --space` uploads it. A repository is owner/name or
    owner/name@revision of huggingface.co.
    """
    from medtune.export.space import export

    export(folder.resolve(), adapter, base)
    print(folder)
