"""Write the cards in formats for other programs."""

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = ("medtune export cards", "medtune export cards ~/inspection")


def cards(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A new or empty folder, or one that this command wrote earlier."
        ),
    ] = Path("exports"),
) -> None:
    """Write the cards of each split, with tables and pictures.

    The formats are CSV, JSON Lines, Parquet and a folder for datasets.load_from_disk. The tables
    and pictures show lengths, kinds, sizes and shared text.
    """
    from medtune.export.cards import export

    export(folder.resolve())
    print(folder)
