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
            metavar="REPO", help="Take the adapter from this repository [default: copy it]."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REPO",
            help="Take the base model from this repository [default: that of download.model, or "
            "copy models/base if it is on no hub].",
        ),
    ] = None,
) -> None:
    """Write a Gradio Space that asks both models.

    `medtune push FOLDER REPO --space` uploads it. Repositories are owner/name, of huggingface.co,
    or owner/name@revision.
    """
    from medtune.export.space import export

    export(folder.resolve(), adapter, base)
    print(folder)
