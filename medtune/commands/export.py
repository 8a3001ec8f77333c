"""Write the cards or the fine-tuned model for other programs."""

from pathlib import Path
from typing import Annotated

import typer

CARDS_EXAMPLES = ("medtune export cards", "medtune export cards ~/inspection")
MERGED_EXAMPLES = (
    "medtune export merged",
    "medtune export merged --experiment ashen-lamb exports/ashen-lamb",
)
GGUF_EXAMPLES = (
    "medtune export gguf",
    "medtune export gguf --type q8_0 exports/gguf/small.gguf",
)
MODEL = ("models", "data/tokens/test.arrow")
ExperimentOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Export the model of this DVC experiment, branch or commit; nothing is checked out.",
    ),
]


def cards(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A new or empty folder, or one that this command wrote earlier."
        ),
    ] = Path("exports/cards"),
) -> None:
    """Write the cards of each split, with tables and pictures.

    The formats are CSV, JSON Lines, Parquet and a folder for datasets.load_from_disk. The tables
    and pictures show lengths, kinds, sizes and shared text.
    """
    from medtune.export.cards import export

    export(folder.resolve())
    print(folder)


def merged(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A new or empty folder, or one that this command wrote earlier."
        ),
    ] = Path("exports/merged"),
    experiment: ExperimentOption = None,
) -> None:
    """Write the model with its adapter merged into it.

    For transformers, vLLM and other programs. The folder holds safetensors in fp32, the tokenizer
    with a chat template that writes prompts as in training, the decoding settings and a model card.
    """
    from medtune.artifacts.verification import check_recorded
    from medtune.commands.experiments import revision_of
    from medtune.export.merged import export_merged
    from medtune.export.run_files import run_folder

    with run_folder(experiment, revision_of(experiment)) as root:
        check_recorded(*MODEL, root=root)
        export_merged(root, folder.resolve())
    print(folder)


def gguf(
    target: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|FILE", help="A folder, or a file that ends in .gguf."),
    ] = Path("exports/gguf"),
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Type of the weights: f32, f16, q8_0, or q4_k_m and the like.",
        ),
    ] = "f16",
    experiment: ExperimentOption = None,
) -> None:
    """Write the model as GGUF, for llama.cpp and Ollama.

    The tokenizer and the chat template are in the file. A Modelfile for Ollama is written
    beside it.
    """
    from medtune.artifacts.verification import check_recorded
    from medtune.commands.experiments import revision_of
    from medtune.export.gguf import export_gguf
    from medtune.export.run_files import run_folder

    with run_folder(experiment, revision_of(experiment)) as root:
        check_recorded(*MODEL, root=root)
        print(export_gguf(root, target, type_, experiment))
