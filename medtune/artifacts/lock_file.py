"""Reads dvc.lock, and mends one that was cut off.

DVC rewrites the file in place after every stage, and its list of files in use before and after. A
process that is killed in that moment leaves the beginning of it, with which DVC refuses to run. So
it does after a kill between making a folder of its run cache and moving the run into it.
"""

import json
import logging
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from medtune.runtime.dvc_cache import objects
from medtune.runtime.errors import InputError

logger = logging.getLogger("medtune")

DVC = Path(".dvc")
LOCK = Path("dvc.lock")
DAMAGED = Path(".dvc/tmp/dvc.lock.damaged")
DVC_LOCK = Path(".dvc/tmp/lock")  # held by DVC while it writes
RUNS = Path(".dvc/cache/runs")  # where DVC's cache is, unless its settings put it elsewhere
IN_USE = Path(".dvc/tmp/rwlock")  # names the files that running DVC processes read and write
STAGE = re.compile(r"^  \S.*(:$|\Z)", re.MULTILINE)
HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
REMOTE_HASHES = ("etag", "checksum")
OUTS = re.compile(r"^    outs:\n((?: {4}- .*\n| {6}.*\n)*)", re.MULTILINE)
FILE = re.compile(
    r" {4}- path: ([\w./@-]+)\n {6}hash: md5\n {6}md5: ([0-9a-f]{32}(?:\.dir)?)\n"
    r"(?: {6}(?:size|nfiles|isexec): \w+\n)*"
)
CONFLICT = "<<<<<<< "
HEAD = "schema: '2.0'\nstages:\n"


def recorded_stages(text: str) -> dict[str, Any] | None:
    """Returns the stages of dvc.lock by name, or None if the text is not a whole dvc.lock."""
    try:
        content = YAML(typ="safe").load(text) if text.endswith("\n") else None
    except YAMLError:
        return None
    if not isinstance(content, dict) or content.get("schema") != "2.0":
        return None
    stages = content.get("stages", {})
    if not isinstance(stages, dict) or not all(map(_is_whole, stages.values())):
        return None
    return stages


def recorded_files(text: str) -> list[tuple[str, str]]:
    """Returns path and hash of every output, as DVC writes them into dvc.lock.

    Parsing the whole file takes half a second, so that is left to a file that was edited.
    """
    blocks = OUTS.findall(text)
    if not any(FILE.sub("", block) for block in blocks):
        return [found for block in blocks for found in FILE.findall(block)]
    outs = [
        out for stage in (recorded_stages(text) or {}).values() for out in stage.get("outs", [])
    ]
    return [(out["path"], out["md5"]) for out in outs if "md5" in out]


def _is_whole(stage: Any) -> bool:
    """Returns whether DVC accepts the stage, and has a whole hash for each file that it names."""
    if not isinstance(stage, Mapping) or not isinstance(stage.get("cmd"), str | list):
        return False
    for files in (stage.get("deps", []), stage.get("outs", [])):
        if not isinstance(files, list):
            return False
        for file in files:
            if not isinstance(file, Mapping) or not isinstance(file.get("path"), str):
                return False
            if None in file.values() or not _has_hash(file):
                return False
    params = stage.get("params", {})
    return isinstance(params, Mapping) and all(isinstance(p, Mapping) for p in params.values())


def _has_hash(file: Mapping[str, Any]) -> bool:
    """Files outside the project, such as s3:// and https:// ones, have an etag or a checksum."""
    return any(file.get(key) for key in REMOTE_HASHES) or bool(
        HASH.fullmatch(str(file.get("md5", "")))
    )


def mend(thorough: bool = False) -> bool:
    """Cuts a damaged dvc.lock back to its whole stages, and says so; returns whether it did.

    DVC finds the results of the other stages in its run cache, and runs nothing again. The damaged
    file is kept in .dvc/tmp/. While DVC writes the file, nothing is done. Unless `thorough`, only
    the end is looked at, which finds every file that was cut off.
    """
    _remove_cut_list()
    _remove_unfinished_runs(objects().parents[1] / "runs" if thorough else RUNS)
    if not LOCK.is_file() or not DVC.is_dir() or _is_left_alone(_text(), thorough):
        return False
    from dvc.lock import LockError, make_lock

    from medtune.runtime.atomic_files import replacing

    DVC_LOCK.parent.mkdir(exist_ok=True)
    try:
        with make_lock(str(DVC_LOCK), tmp_dir=str(DVC_LOCK.parent)):
            if _is_left_alone(text := _text(), thorough=True):
                return False
            kept = whole_part(text)
            shutil.copyfile(LOCK, DAMAGED)
            if kept:
                with replacing(LOCK) as temporary:
                    temporary.write_text(kept, encoding="utf-8")
            else:
                LOCK.unlink()
    except LockError:
        return False
    logger.warning(
        f"{LOCK} was cut off while DVC wrote it and is mended: it keeps "
        f"{len(recorded_stages(kept) or {})} stages, and dvc repro restores the others from DVC's "
        f"cache (the damaged file is {DAMAGED})"
    )
    return True


def require_whole() -> None:
    """Raises InputError if there is a dvc.lock that DVC cannot read, as with a merge conflict."""
    if not LOCK.is_file() or recorded_stages(_text()) is not None:
        return
    if CONFLICT in _text():
        remedy = f"run `git checkout --ours {LOCK}`, or --theirs, and then dvc checkout"
        raise InputError(f"{LOCK} has a merge conflict: {remedy}")
    raise InputError(f"{LOCK} is damaged: run `git checkout {LOCK}`, and then dvc checkout")


def _remove_cut_list() -> None:
    """Removes a damaged list of files in use: the process that wrote it has been killed."""
    if not IN_USE.is_file() or _is_json(IN_USE):
        return
    from dvc.lock import LockError, make_lock

    with suppress(LockError), make_lock(f"{IN_USE}.lock", tmp_dir=str(IN_USE.parent)):
        if not _is_json(IN_USE):
            IN_USE.unlink(missing_ok=True)
            logger.warning(f"{IN_USE} was cut off while DVC wrote it and is removed")


def _remove_unfinished_runs(runs: Path) -> None:
    """Removes folders of DVC's run cache that hold no run, or only one that was being written."""
    unfinished = [folder for folder in runs.glob("*/*") if _holds_no_run(folder)]
    if not unfinished:
        return
    from dvc.lock import LockError, make_lock

    DVC_LOCK.parent.mkdir(exist_ok=True)
    with suppress(LockError), make_lock(str(DVC_LOCK), tmp_dir=str(DVC_LOCK.parent)):
        for folder in filter(_holds_no_run, unfinished):
            shutil.rmtree(folder)
            logger.warning(f"{folder} holds no run, since DVC was killed, and is removed")


def _holds_no_run(folder: Path) -> bool:
    return folder.is_dir() and all(path.suffix == ".tmp" for path in folder.iterdir())


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def whole_part(text: str) -> str:
    """Returns the longest beginning of dvc.lock that ends with a whole stage; "" if none does.

    The last stage in a file that was cut off at the end of a line looks whole and may lack outputs,
    so it is left out too.
    """
    starts = [match.start() for match in STAGE.finditer(text)]
    for start in reversed(starts[1:]):
        if recorded_stages(text[:start]) is not None:
            return text[:start]
    return ""


def _text() -> str:
    return LOCK.read_text(encoding="utf-8", errors="replace")


def _is_left_alone(text: str, thorough: bool) -> bool:
    """A merge conflict in dvc.lock is the user's to resolve; DVC says so."""
    if CONFLICT in text or (not thorough and _ends_whole(text)):
        return True
    return recorded_stages(text) is not None


def _ends_whole(text: str) -> bool:
    """Returns whether the last lines are a stage's outputs, as DVC writes them."""
    *_, block = ["", *OUTS.finditer(text)]
    if not block or not text.startswith(HEAD):
        return False
    return block.end() == len(text) and FILE.sub("", block[1]) == "" != block[1]
