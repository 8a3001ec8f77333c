"""`medtune push`: uploads the adapter, an exported model or a Space to a model hub."""

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medtune.export.provenance import WEIGHTS
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    from medtune.export.hub import Upload
    from medtune.export.hub_model_card import Origin

logger = logging.getLogger("medtune")

EXAMPLES = (
    "medtune push models/adapter owner/name",
    "medtune push models/adapter owner/name --yes",
    "medtune push exports/space owner/name --space --yes",
)
RECORDED = f"models/adapter/{WEIGHTS}"


def origin(revision: str) -> "Origin":
    """Returns the run of a commit, or of the workspace if it is empty."""
    from medtune.commands.experiments import PARAMS, SCORES, read_lock, text_of
    from medtune.commands.summary import UNCOMMITTED, commit
    from medtune.export.hub_model_card import Origin

    compared = read_lock(revision).get("compare")
    scores = text_of(revision, SCORES)
    if not compared or not scores:
        raise InputError("this run has no scores for the model card: run dvc repro compare")
    recorded: str | None = revision[:7] or commit()
    if recorded == UNCOMMITTED:
        logger.info("the model card names no commit, because dvc.lock is not committed")
        recorded = None
    adapter = next((dep["md5"] for dep in compared["deps"] if dep["path"] == RECORDED), None)
    return Origin(recorded, compared["params"][PARAMS], json.loads(scores), adapter)


def check_adapter(upload: "Upload", source: Path, recorded: str | None) -> None:
    """Raises InputError if the scores of the model card belong to another adapter."""
    from medtune.export.hub import CARD
    from medtune.modeling.loading import require

    if upload.kind == "adapter":
        require(source / WEIGHTS, "train")
        require(source / CARD, "compare")
    for path, found in adapters_of(upload, source).items():
        if found is None:
            raise InputError(
                f"{path} does not say which adapter it holds, so its scores are unknown: write it "
                "again with `medtune export`"
            )
        if found != recorded:
            what = "is not" if upload.kind == "adapter" else "does not hold"
            remedy = "run dvc repro compare" if upload.kind == "adapter" else "export it again"
            raise InputError(
                f"{path} {what} the adapter that this run compared, so the model card would name "
                f"the scores of another one: {remedy}, or name its --experiment"
            )


def adapters_of(upload: "Upload", source: Path) -> dict[Path, str | None]:
    """Returns the hash of the adapter in each file of weights, as far as it is known."""
    from medtune.export.hub import CARD
    from medtune.export.provenance import GGUF_KEY, adapter_md5, md5_in_card, text_in_gguf

    if upload.kind == "adapter":
        return {source / WEIGHTS: adapter_md5(source)}
    if upload.kind == "merged model":
        return {source: md5_in_card(source / CARD)}
    paths = [file for file in upload.files.values() if isinstance(file, Path)]
    return {path: text_in_gguf(path, GGUF_KEY) for path in paths if path.suffix == ".gguf"}


def prepare(source: Path, repository: str, space: bool, experiment: str | None) -> "Upload":
    """Returns what to upload, with a complete model card."""
    from medtune.commands.experiments import revision_of
    from medtune.export.hub import REPOSITORY, read_upload
    from medtune.export.hub_model_card import with_card

    if not REPOSITORY.fullmatch(repository):
        raise InputError(f"REPO must be owner/name, got {repository}")
    upload = read_upload(source)
    if space != (upload.kind == "Space"):
        remedy = "leave out --space" if space else "add --space"
        raise InputError(f"{source} is {article(upload.kind)}: {remedy}")
    if space:
        return upload
    run = origin(revision_of(experiment))
    check_adapter(upload, source, run.adapter_md5)
    return with_card(upload, repository, run)


def article(kind: str) -> str:
    return f"an {kind}" if kind.startswith("a") else f"a {kind}"


def listing(upload: "Upload") -> str:
    """Returns the files with their sizes, one a line."""
    sizes = upload.sizes
    width = max(map(len, sizes))
    lines = []
    for name, file in upload.files.items():
        note = "  (completed for the hub)" if isinstance(file, bytes) else ""
        lines.append(f"  {name:<{width}}  {size(sizes[name]):>8}{note}")
    files = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
    return "\n".join([*lines, f"{files}, {size(sum(sizes.values()))}"])


def size(n_bytes: int) -> str:
    """Writes a size with the usual units of 1000.

    >>> size(999), size(19_593_064)
    ('999 B', '19.6 MB')
    """
    value, units = float(n_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def push(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="models/adapter, or a folder or GGUF file of `medtune export`."
        ),
    ],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the hub.")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who may see a new repository.")
    ] = True,
    space: Annotated[bool, typer.Option("--space", help="Upload SOURCE as a Space.")] = False,
    experiment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The DVC experiment, branch or commit that the model comes from, for the scores "
            "on its card [default: the run in this folder].",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Upload; otherwise only list.")] = False,
) -> None:
    """Upload the adapter, a model or a Space to a model hub.

    Without --yes, it lists the files with their sizes and sends nothing. The hub is huggingface.co
    or HF_ENDPOINT; the token comes from HF_TOKEN or `hf auth login`.
    """
    # Chunked uploads need a second service of the hub. huggingface_hub reads this on import.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    from medtune.export.hub import hub_address, send

    upload = prepare(source, repository, space, experiment)
    shown = "private" if private else "public"
    print(f"{source} ({upload.kind}) → {shown} {repository} on {hub_address()}")
    print(listing(upload), flush=True)
    if yes:
        print(send(upload, repository, private, f"Upload {article(upload.kind)} of medtune"))
    else:
        print("Nothing was sent: add --yes to upload these files.")
