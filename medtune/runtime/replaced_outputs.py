"""The outputs of a stage: whether it has replaced all of them, and which DVC has removed for it."""

import os
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from medtune.runtime.dvc_cache import object_path
from medtune.runtime.paths import in_queued_experiment

PIPELINE, LOCK = Path("dvc.yaml"), Path("dvc.lock")
DVC_STAGE = "DVC_STAGE"  # DVC sets it to the name of the stage that it runs

Stamp = tuple[int, int] | None  # inode and time of the last change; None for a missing file


def declared_outputs(name: str) -> list[Path]:
    """Returns the outputs of a stage, which is named as in its log: evaluate_base, clean.

    There are none in a folder without dvc.yaml, and none for a stage that it does not have.
    """
    if not PIPELINE.is_file():
        return []
    stages = YAML(typ="safe").load(PIPELINE)["stages"]
    group, _, key = name.partition("_")
    definition, item = stages.get(name), ""
    if definition is None:
        items = stages.get(group, {}).get("foreach", {})
        if key not in items:
            return []
        definition, item = stages[group]["do"], str(items[key])
    listed = [*definition.get("outs", []), *definition.get("metrics", [])]
    paths = [path for out in listed for path in ([out] if isinstance(out, str) else out)]
    return [Path(path.replace("${key}", key).replace("${item}", item)) for path in paths]


def stamps(paths: Sequence[Path]) -> list[Stamp]:
    return [_stamp(path) for path in paths]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def check_replaced(paths: Sequence[Path], before: Sequence[Stamp]) -> None:
    """Asserts that every path exists and has another stamp than before."""
    pairs = zip(paths, before, stamps(paths), strict=True)
    kept = [str(path) for path, old, new in pairs if new is None or new == old]
    assert not kept, f"the stage ended without writing {', '.join(kept)}"


def removed_by_dvc() -> str | None:
    """Returns a line on the earlier outputs that a failed stage leaves missing; None without any.

    DVC removes outputs that do not persist before it runs a stage, and has them in its cache. In a
    new clone its cache has none, and nothing was removed.
    """
    stage = os.environ.get(DVC_STAGE, "")
    if not stage or in_queued_experiment() or not LOCK.is_file():
        return None
    recorded = (YAML(typ="safe").load(LOCK) or {}).get("stages", {}).get(stage, {})
    missing = [out["md5"] for out in recorded.get("outs", []) if not Path(out["path"]).exists()]
    if not missing or not all(object_path(md5).is_file() for md5 in missing):
        return None
    return (
        "DVC has removed the earlier outputs of this stage: dvc checkout brings them back, and so "
        "does dvc repro once the change is undone"
    )
