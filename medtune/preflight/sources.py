"""Checks that the sources of params.yaml can be downloaded, without downloading them."""

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx2

from medtune.runtime.errors import InputError
from medtune.runtime.paths import expand_home
from medtune.sources import hub, pypi
from medtune.sources.checksums import check_digest
from medtune.sources.conversion import RANDOM_LLAMA, RANDOM_VOCABULARY
from medtune.sources.fetch import Target, random_options, unknown_source

TIMEOUT_S = 10


def ask_source(uri: str, target: Target) -> int | None:
    """Returns the size of a download in bytes, or None if the source does not say.

    Raises InputError if the source is unknown, missing, gated or unreachable.
    """
    scheme, _, rest = uri.partition("://")
    match scheme:
        case "pypi":
            return _ask_index(uri)
        case "hub":
            return _ask_hub(uri, target)
        case "file":
            return _ask_disk(uri, expand_home(rest))
        case "https" | "http":
            return _ask_server(uri.partition("#")[0])
        case "random" if target == "model":
            return 0
    raise unknown_source(uri, target)


def _ask_index(uri: str) -> int | None:
    """Lets pip resolve the wheel; an index that serves metadata sends nothing else."""
    requirement, _, expected = pypi.parse_uri(uri)
    command = [sys.executable, "-m", "pip", "install", requirement, "--dry-run", "--report=-"]
    command += ["--no-deps", "--ignore-installed", "--only-binary=:all:", "--no-input", "--quiet"]
    command += [f"--timeout={TIMEOUT_S}", "--retries=1"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise pypi.explain_pip(answer.stderr, requirement)
    download = json.loads(answer.stdout)["install"][0]["download_info"]
    url, digests = download["url"], download["archive_info"].get("hashes", {})
    if expected and "sha256" in digests:
        check_digest(PurePosixPath(urlsplit(url).path).name, digests["sha256"], expected)
    if urlsplit(url).scheme == "file":
        return Path(unquote(urlsplit(url).path)).stat().st_size
    try:
        return _ask_server(url)
    except InputError:
        return None  # pip found the wheel, for example through a proxy that only pip uses


def _ask_hub(uri: str, target: Target) -> int | None:
    """Also asks for one file: everybody may list a gated repository, but not read its files."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    repository = hub.parse_uri(uri, target)
    info = hub.call_hub(repository, lambda: hub.look_up(repository))
    files = hub.select_files(repository, info)
    url = hf_hub_url(
        repository.name,
        files[0].rfilename,
        repo_type=target,
        revision=info.sha,
        endpoint=repository.endpoint,
    )
    hub.call_hub(repository, lambda: get_hf_file_metadata(url, timeout=TIMEOUT_S))
    return None if repository.rows else sum(file.size or 0 for file in files)


def fetch_hub_config(uri: str, folder: Path) -> None:
    """Downloads only config.json of a model on a hub into `folder`."""
    from huggingface_hub import hf_hub_download

    repository = hub.parse_uri(uri, "model")

    def download() -> None:
        hf_hub_download(
            repository.name,
            "config.json",
            revision=repository.revision,
            local_dir=folder,
            endpoint=repository.endpoint,
        )

    hub.call_hub(repository, download)


def _ask_disk(uri: str, path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    if not files:
        raise InputError(f"{uri} is missing or empty: its path starts at the project folder")
    return sum(file.stat().st_size for file in files)


def _ask_server(url: str) -> int | None:
    try:
        answer = httpx2.head(url, follow_redirects=True, timeout=TIMEOUT_S)
        answer.raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"could not reach {url} ({reason}): check the address and the network"
        ) from None
    size = answer.headers.get("Content-Length")
    return int(size) if size else None


def find_config(uri: str, scratch: Path) -> Path | None:
    """Returns a folder with the model's config.json, or None if only the whole model has it.

    Files that are downloaded or made for this go into `scratch`.
    """
    scheme, _, rest = uri.partition("://")
    folder = expand_home(rest)
    if scheme == "hub":
        fetch_hub_config(uri, scratch)
        return scratch
    if scheme == "random":
        return _random_config(uri, scratch)
    return folder if scheme == "file" and (folder / "config.json").is_file() else None


def _random_config(uri: str, folder: Path) -> Path:
    """Writes the configuration of a random model without making its weights."""
    content = {**RANDOM_LLAMA, **random_options(uri), "vocab_size": RANDOM_VOCABULARY}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
