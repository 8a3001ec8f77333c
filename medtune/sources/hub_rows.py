"""Takes some rows of a data set's split from a hub, without downloading the rest (streaming)."""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medtune.runtime.errors import InputError
from medtune.runtime.progress import progress
from medtune.sources.hub_address import Repository

logger = logging.getLogger("medtune")

READERS = {  # of `datasets`, by the end of a file's name
    ".arrow": "arrow",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
}


def write_rows(repository: Repository, commit: str, paths: Sequence[str], folder: Path) -> None:
    """Writes `repository.rows` of the files, in the order of their names, as JSON Lines.

    The commit pins them; no hash can be checked of a file that is not downloaded whole.
    """
    rows = repository.rows or range(0)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{repository.name.replace('/', '-')}-{repository.split}.jsonl"
    count = 0
    with path.open("w", encoding="utf-8") as file, TemporaryDirectory() as scratch:
        found = _stream(repository, commit, paths, scratch)
        with progress(found, total=len(rows), unit="row") as bar:
            for row in bar:
                file.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")
                count += 1
    if not count:
        raise InputError(
            f"{repository} has no row {rows.start} in its split {repository.split}: ask for "
            "earlier ones"
        )
    logger.info("read %s rows of the split %s of %s", f"{count:,}", repository.split, repository)


def _stream(
    repository: Repository, commit: str, paths: Sequence[str], scratch: str
) -> Iterator[dict[str, Any]]:
    import datasets

    root = f"hf://datasets/{repository.name}@{commit}"
    rows = repository.rows or range(0)
    try:
        stream = datasets.load_dataset(
            READERS[Path(min(paths)).suffix],
            data_files=[f"{root}/{path}" for path in sorted(paths)],
            split="train",  # the name for whatever files are given
            streaming=True,
            storage_options={"hf": {"endpoint": repository.endpoint}},
            cache_dir=scratch,
        )
        if stream.features:  # known beforehand, as those of Parquet: images stay bytes
            stream = stream.decode(False)
        yield from stream.skip(rows.start).take(len(rows))
    except (ValueError, TypeError, datasets.exceptions.DatasetsError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"{repository}: datasets can't read its files ({first_line}): leave out the range"
        ) from None


def _plain(value: Any) -> Any:
    """Returns a value that JSON has; null for what no card is made of, such as images and dates."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int) else None
