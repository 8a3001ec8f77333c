"""The hub source: a model or dataset repository at one commit, each file checked by its hash."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx2

from medtune.runtime.errors import InputError
from medtune.runtime.paths import check_member, check_space
from medtune.sources.conversion import CHECKPOINT_FILES
from medtune.sources.hub_address import Repository, parse_uri
from medtune.sources.hub_rows import READERS, write_rows
from medtune.sources.hub_splits import find_split
from medtune.sources.retrying import HUB_WAITS_S, may_pass, wait_s

logger = logging.getLogger("medtune")

DATA_SUFFIXES = tuple(READERS)
STATE = "state.json"  # lists the Arrow files of a folder of save_to_disk; clean reads it
# Describe the data set and have no cards.
NO_DATA = {STATE, "dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
CARD = "README.md"
TIMEOUT_S = 10
T = TypeVar("T")


def fetch_repository(uri: str, target: str, folder: Path) -> None:
    """Writes the safe files of `hub://owner/name@revision[/subset][?split=name]` into `folder`.

    Their paths are kept. A model gives safetensors, tokenizer and configuration, a dataset its
    tables: with `subset`, those in that folder, with that prefix or of the subset that its
    README.md defines; with `?split=name[:1000]`, only these rows of them. Honours HF_ENDPOINT and
    HF_TOKEN.
    """
    repository = parse_uri(uri, target)
    # Plain HTTP resumes and has no cache elsewhere. huggingface_hub reads this on import.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    info = call_hub(repository, lambda: look_up(repository), HUB_WAITS_S)
    if info.sha != repository.revision:
        was, commit = repository.revision, info.sha
        logger.info("revision %s is commit %s: write @%s to pin it", was, commit, commit)
    files = select_files(repository, info)
    if repository.rows:
        paths = [file.rfilename for file in files]
        call_hub(repository, lambda: write_rows(repository, info.sha, paths, folder), HUB_WAITS_S)
        return
    scratch = folder / ".hub"
    scratch.mkdir(parents=True)
    check_space(repository, sum(file.size or 0 for file in files), scratch)
    call_hub(repository, lambda: _download(repository, info.sha, files, scratch), HUB_WAITS_S)
    for file in files:
        _verify(repository, file, scratch / "files" / file.rfilename)
        path = folder / file.rfilename
        path.parent.mkdir(parents=True, exist_ok=True)
        (scratch / "files" / file.rfilename).replace(path)
    shutil.rmtree(scratch)
    logger.info("downloaded %d of the %d files of %s", len(files), len(info.siblings), repository)


def look_up(repository: Repository) -> Any:
    """Asks the hub for the commit of the revision, and its files with sizes and hashes."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=repository.endpoint)
    return api.repo_info(
        repository.name,
        repo_type=repository.target,
        revision=repository.revision,
        files_metadata=True,
        timeout=TIMEOUT_S,
    )


def select_files(repository: Repository, info: Any) -> list[Any]:
    """Selects the files to download; raises InputError if there are none or a path is bad.

    May read the README.md of a data set, which says what its subsets and splits are.
    """
    paths = [file.rfilename for file in info.siblings]
    if repository.target == "model":
        chosen = _checkpoint_paths(repository, paths)
    else:
        chosen = _data_paths(repository, paths, info.sha)
    for path in chosen:
        check_member(repository, path, path)
    return [file for file in info.siblings if file.rfilename in chosen]


def _checkpoint_paths(repository: Repository, paths: list[str]) -> set[str]:
    top = [path for path in paths if "/" not in path]
    chosen = {path for path in top if any(fnmatch(path, pattern) for pattern in CHECKPOINT_FILES)}
    if not any(path.endswith(".safetensors") for path in chosen):
        raise InputError(f"{repository} has no safetensors weights: choose a model that has them")
    return chosen


def _data_paths(repository: Repository, paths: list[str], commit: str) -> set[str]:
    subset = repository.subset
    tables = [
        path for path in paths if path.endswith(DATA_SUFFIXES) and Path(path).name not in NO_DATA
    ]
    inside = [path for path in tables if path.startswith(subset + "/")]
    inside = inside or [path for path in tables if path.startswith(subset)]
    if repository.split or (tables and not inside):
        card = _read_card(repository, commit) if CARD in paths else ""
        if repository.split or "configs:" in card:
            return find_split(repository, tables, card, subset, repository.split)
    if not inside:
        wanted = ", ".join(DATA_SUFFIXES) + " file" + (f" under {subset}" if subset else "")
        held = ", ".join(sorted(paths)[:8]) or "nothing"
        raise InputError(f"{repository} has no {wanted}, only {held}")
    folders = {Path(path).parent for path in inside if path.endswith(".arrow")}
    states = {(folder / STATE).as_posix() for folder in folders}
    return {*inside, *states.intersection(paths)}


def _read_card(repository: Repository, commit: str) -> str:
    from huggingface_hub import hf_hub_download

    def download() -> str:
        with TemporaryDirectory() as scratch:
            path = hf_hub_download(
                repository.name,
                CARD,
                repo_type=repository.target,
                revision=commit,
                local_dir=scratch,
                endpoint=repository.endpoint,
            )
            return Path(path).read_text(encoding="utf-8", errors="replace")

    return call_hub(repository, download, HUB_WAITS_S)


def _download(repository: Repository, commit: str, files: list[Any], scratch: Path) -> None:
    """Downloads into `scratch/files`; called again, it keeps the complete files."""
    from huggingface_hub import snapshot_download

    snapshot_download(
        repository.name,
        repo_type=repository.target,
        revision=commit,
        allow_patterns=[escape(file.rfilename) for file in files],
        local_dir=scratch / "files",
        cache_dir=scratch / "cache",
        endpoint=repository.endpoint,
    )


def _verify(repository: Repository, file: Any, path: Path) -> None:
    """Compares a file with the hub's hash: sha256 for large files, git's sha1 for the others."""
    if not path.is_file():
        raise InputError(
            f"{repository}: {file.rfilename} was not downloaded: run the command again"
        )
    if file.lfs:
        expected = file.lfs.sha256
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    else:
        expected = file.blob_id
        content_bytes = path.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content_bytes) + content_bytes).hexdigest()
    if found != expected:
        raise InputError(
            f"{repository}: {file.rfilename} has hash {found}, but the hub says {expected}: "
            "refused; run the command again or choose another revision"
        )


def call_hub(repository: Repository, call: Callable[[], T], waits_s: Iterable[float] = ()) -> T:
    """Repeats `call` until it succeeds, fails for good or no waits are left.

    The last failure becomes an InputError that says what to do.
    """
    waits = iter(waits_s)
    while True:
        try:
            return call()
        except (httpx2.HTTPError, OSError) as error:
            # huggingface_hub hides the reason behind an error that says "not in the cache".
            hidden = error.__cause__ if isinstance(error, FileNotFoundError) else None
            reason = hidden or error
            if getattr(reason, "errno", None) is not None:
                raise
            response: Any = getattr(reason, "response", None)
            status = getattr(response, "status_code", None)
            final = isinstance(reason, ConnectionError) if status is None else not may_pass(status)
            wait = None if final else next(waits, None)
            if wait is None:
                raise InputError(f"{repository} {_explain(repository, reason, status)}") from None
            logger.info("%s: %s; trying again", repository, _first_line(reason))
            time.sleep(wait_s(getattr(response, "headers", {}), wait))


def _explain(repository: Repository, reason: BaseException, status: int | None) -> str:
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RevisionNotFoundError

    kind = "datasets/" if repository.target == "dataset" else ""
    page = f"{repository.endpoint}/{kind}{repository.name}"
    log_in = "log in with `hf auth login` or set HF_TOKEN"
    if isinstance(reason, GatedRepoError):
        return f"is gated: accept its terms on {page}, then {log_in}"
    if isinstance(reason, RevisionNotFoundError):
        return f"was not found: the repository has no such revision, see {page}/commits/main"
    if status in (401, 403):
        return (
            f"is missing, private or gated: check its name, ask for access on {page} and {log_in}"
        )
    if status == 404:
        return "was not found: check the owner and name"
    if status is not None:
        return f"could not be downloaded; the hub answered {status}: try again later"
    if isinstance(reason, OfflineModeIsEnabled):
        return "cannot be downloaded because HF_HUB_OFFLINE is set: unset it"
    return f"could not be downloaded ({_first_line(reason)}): check the network and HF_ENDPOINT"


def _first_line(reason: BaseException) -> str:
    return (str(reason) or type(reason).__name__).splitlines()[0]
