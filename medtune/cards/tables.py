"""Reads all tables below a folder: CSV, TSV, JSON, JSON Lines, Parquet and Arrow files."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from medtune.cards.columnar_tables import read_arrow, read_parquet
from medtune.cards.table_errors import FETCH_AGAIN, FIX_SOURCE, listed
from medtune.cards.text_tables import load_json, read_csv, read_json, read_json_lines
from medtune.runtime.cells import Row
from medtune.runtime.errors import InputError
from medtune.runtime.paths import list_files

logger = logging.getLogger("medtune")


# Written beside the tables by `datasets` and by the hub.
METADATA = {"state.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
FORMATS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    ".csv": read_csv,
    ".tsv": partial(read_csv, delimiter="\t"),
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
}


def read_rows(folder: Path, columns: Sequence[str]) -> Iterator[tuple[str, int, Row]]:
    """Yields (file, row number from 0, row) for every table below the folder, sorted by path.

    The file is given by its path inside the folder. Each file must have all `columns`; only JSON
    objects after the first may lack some. Raises InputError if a file cannot be read completely or
    there are no rows.
    """
    tables = _find_tables(folder)
    empty = True
    for path in tables:
        name = path.relative_to(folder).as_posix()
        for number, row in enumerate(FORMATS[path.suffix.lower()](path, columns)):
            empty = False
            yield name, number, row
    if empty:
        names = listed(path.name for path in tables)
        raise InputError(f"{folder} holds no rows ({names}): choose another download.dataset")


def _find_tables(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run dvc repro download@dataset")
    files = set(list_files(folder))
    files = {path for path in files if "/." not in f"/{path.relative_to(folder).as_posix()}"}
    tables = {path for path in files if path.suffix.lower() in FORMATS}
    tables = {path for path in tables if path.name not in METADATA}
    for state in (path for path in files if path.name == "state.json"):
        # The other Arrow files in a save_to_disk folder are caches that repeat the rows.
        tables -= set(state.parent.glob("*.arrow"))
        tables |= set(_list_shards(state))
    others = listed(sorted(path.name for path in files - tables))
    if not tables:
        found = f"no table, only {others}" if others else "no files"
        raise InputError(
            f"{folder} has {found}: choose a download.dataset with "
            f"{', '.join(FORMATS)} files, or set clean.reader to hpo"
        )
    if others:
        logger.info(f"skipped files that are not tables of records: {others}")
    for path in tables:
        if path.exists() and not path.is_file():  # opening a pipe would block forever
            raise InputError(f"{path} is a folder, pipe or device, not a file: remove or rename it")
    return sorted(tables)


def _list_shards(state: Path) -> list[Path]:
    try:
        shards = [state.with_name(file["filename"]) for file in load_json(state)["_data_files"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{state} does not list _data_files as save_to_disk does: {FIX_SOURCE}"
        ) from None
    for shard in shards:
        if shard.suffix != ".arrow" or not shard.is_file():
            raise InputError(f"{shard} is missing, but {state.name} lists it: {FETCH_AGAIN}")
    return shards
