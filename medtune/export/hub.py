"""Uploads an adapter, a model, a GGUF file or a Space to a repository of a model hub.

medtune push models/adapter owner/name
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medtune.export import folders
from medtune.modeling.adapters import FILES as ADAPTER_FILES
from medtune.runtime.errors import InputError
from medtune.runtime.paths import list_files

logger = logging.getLogger("medtune")

UploadKind = Literal["adapter", "GGUF model", "merged model", "Space"]
CARD = "README.md"
ADAPTER_CONFIG = "adapter_config.json"
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
SPACE_SDK = re.compile(r"\A---\n(?:[^-].*\n)*?sdk: gradio\n")
NEVER = "__pycache__"  # hidden files are not uploaded either
KNOWN: dict[UploadKind, tuple[str, ...]] = {
    "adapter": (*ADAPTER_FILES, "README.md", "LICENSE"),
    "GGUF model": ("*.gguf", "Modelfile", "README.md", "LICENSE"),
    "merged model": (*folders.MERGED, "LICENSE"),
    "Space": folders.SPACE,
}
AGAIN = "run the same command again, which sends only the files that are missing"


@dataclass(frozen=True)
class Upload:
    """What goes into a repository: each file's content or local path, by its name there."""

    kind: UploadKind
    files: Mapping[str, Path | bytes]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size
            for name, file in self.files.items()
        }


def read_upload(path: Path) -> Upload:
    """Returns the files of a folder, or one GGUF file, and what they are."""
    if not path.exists():
        raise InputError(
            f"{path} is missing: name models/adapter, or what `medtune export` has written"
        )
    files = {path.name: path} if path.is_file() else _files(path)
    kind = _kind(path, files)
    known = {name: file for name, file in files.items() if folders.is_known(name, KNOWN[kind])}
    if others := sorted({name.partition("/")[0] for name in files.keys() - known.keys()}):
        logger.info(f"left out, because they are not files of a {kind}: {', '.join(others)}")
    for file in known.values():
        if not file.is_file():
            raise InputError(f"{file} is a link that leads to no file: remove it")
    return Upload(kind, known)


def _files(folder: Path) -> dict[str, Path]:
    found = {path.relative_to(folder): path for path in list_files(folder)}
    return {
        name.as_posix(): path
        for name, path in found.items()
        if not any(part.startswith(".") or part == NEVER for part in name.parts)
    }


def _kind(path: Path, files: Mapping[str, Path]) -> UploadKind:
    if CARD in files and SPACE_SDK.match(files[CARD].read_text(encoding="utf-8")):
        return "Space"
    if ADAPTER_CONFIG in files:
        return "adapter"
    top = [name for name in files if "/" not in name]
    if any(name.endswith(".gguf") for name in top):
        return "GGUF model"
    if "config.json" in files and any(name.endswith(".safetensors") for name in top):
        return "merged model"
    raise InputError(
        f"{path} has no adapter, model, GGUF file or Space: name models/adapter, or what "
        "`medtune export` has written"
    )


def hub_address() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def send(upload: Upload, repository: str, private: bool, message: str) -> str:
    """Uploads all files as one commit and returns its address; creates a missing repository.

    Large files go first, by Git LFS, and a commit names them at the end: until then the repository
    stays as it was. Those that the hub has already are not sent again. Other files of the
    repository stay. Honours HF_ENDPOINT and HF_TOKEN.
    """
    try:
        return _send(upload, repository, private, message)
    except Exception as error:
        problem = _explained(repository, error)
        if problem is None:
            raise
        raise InputError(problem) from None


def _send(upload: Upload, repository: str, private: bool, message: str) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if not (token := get_token()):
        raise InputError(
            f"no token for {hub_address()}: log in with `hf auth login`, or set HF_TOKEN"
        )
    api = HfApi(endpoint=hub_address(), token=token)
    is_space = upload.kind == "Space"
    about: dict[str, Any] = {"repo_type": "space" if is_space else "model"}
    sdk = "gradio" if is_space else None
    api.create_repo(repository, private=private, space_sdk=sdk, exist_ok=True, **about)
    if private and not api.repo_info(repository, **about).private:
        raise InputError(
            f"{repository} is public on {hub_address()}: add --public to push to it, or make it "
            "private in its settings"
        )
    files = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=file)
        for name, file in upload.files.items()
    ]
    return api.create_commit(repository, files, commit_message=message, **about).commit_url


def _explained(repository: str, error: Exception) -> str | None:
    """Returns what to do about an error of the network or the hub; None for any other error."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    # huggingface_hub hides the reason of a failed transfer behind another error.
    reason: Any = error.__cause__ if isinstance(error, RuntimeError | ValueError) else error
    if not isinstance(reason, httpx2.HTTPError | OSError) or getattr(reason, "errno", None):
        return None
    if isinstance(reason, OfflineModeIsEnabled):
        return f"{repository} cannot be reached because HF_HUB_OFFLINE is set: unset it"
    status = getattr(getattr(reason, "response", None), "status_code", None)
    said = getattr(reason, "server_message", None) or str(reason) or type(reason).__name__
    said = said.splitlines()[0]
    if status is None:
        return (
            f"{repository} got no complete upload ({said}): check the network and HF_ENDPOINT, "
            f"and {AGAIN}"
        )
    if status >= 500:
        return f"{repository} got no complete upload (the hub answered {status}): {AGAIN}"
    remedies = {
        401: "the hub does not know the token (401): log in with `hf auth login`, or set HF_TOKEN",
        403: f"the token may not write there (403): make one that may write to "
        f"{repository.partition('/')[0]} on {hub_address()}/settings/tokens",
    }
    return f"{repository} was not changed, because " + remedies.get(
        status, f"the hub refused the upload ({status}: {said})"
    )
