"""Hashes files and folders as DVC does, and remembers the hashes of large files."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LARGE_BYTES = 2**24
STAMPS = Path(".dvc/tmp/medtune_hashes.json")

Hasher = Callable[[Path], str]


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def files_of(folder: Path, hasher: Hasher = md5_of) -> dict[str, str]:
    """Returns the hash of every file below a folder by its relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hasher(path) for path in paths}


def folder_hash(files: dict[str, str]) -> str:
    """Returns DVC's hash of a folder: the MD5 of the list of its files, and `.dir`."""
    listed = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    text = json.dumps(listed, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def remembering(path: Path) -> str:
    """Returns a file's hash; that of a large file from memory while size, time and inode agree."""
    status = path.stat()
    if status.st_size < LARGE_BYTES:
        return md5_of(path)
    name, stamp = str(path.resolve()), [status.st_size, status.st_mtime_ns, status.st_ino]
    known = _known()
    if known.get(name, [])[:3] != stamp:
        known[name] = [*stamp, md5_of(path)]
        _remember(known)
    return known[name][3]


def _known() -> dict[str, list]:
    """Returns [size, time, inode, hash] of each file that was hashed and is still there."""
    try:
        known = json.loads(STAMPS.read_text(encoding="utf-8"))
        return {name: entry for name, entry in known.items() if Path(name).exists()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(known: dict[str, list]) -> None:
    """Writes the hashes down where that is allowed; otherwise they are computed each time."""
    from medtune.runtime.atomic_files import replacing

    if STAMPS.parent.is_dir():
        with suppress(OSError), replacing(STAMPS) as temporary:
            temporary.write_text(json.dumps(known), encoding="utf-8")
