"""Reads all tables below a folder: CSV, TSV, Anki, JSON, Excel, Parquet and Arrow files."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from medtune.cards.columnar_tables import read_arrow, read_parquet
from medtune.cards.delimited_tables import is_anki_export, read_delimited
from medtune.cards.json_tables import load_json, read_json, read_json_lines
from medtune.cards.table_errors import FETCH_AGAIN, FIX_SOURCE, Choose, listed
from medtune.cards.workbooks import read_workbook
from medtune.runtime.errors import InputError
from medtune.runtime.paths import list_files
from medtune.runtime.table_cells import Row

logger = logging.getLogger("medtune")


# Written beside the tables by `datasets` and by the hub.
METADATA = {"state.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
TEXT_FORMATS: dict[str, Callable[[Path, Choose, str], Iterator[Row]]] = {
    ".csv": read_delimited,
    ".tsv": partial(read_delimited, delimiter="\t"),
    ".txt": read_delimited,  # only Anki's exports
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
}
OTHER_FORMATS: dict[str, Callable[[Path, Choose], Iterator[Row]]] = {
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".xlsx": read_workbook,
    ".xlsm": read_workbook,
}
FORMATS = (*TEXT_FORMATS, *OTHER_FORMATS)
PACKED_ENDINGS = (".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz")
SPREADSHEETS = (".xls", ".xlsb", ".ods", ".numbers")


def read_rows(
    folder: Path, choose: Choose, encoding: str = "utf-8"
) -> Iterator[tuple[str, int, Row]]:
    """Yields (file, row number from 0, row) for every table below the folder, sorted by path.

    The file is given by its path inside the folder. `choose` picks the columns of each; JSON
    objects come whole, and those after the first may lack some. Raises InputError if a file cannot
    be read completely or there are no rows.
    """
    tables = _find_tables(folder)
    empty = True
    for path in tables:
        name = path.relative_to(folder).as_posix()
        suffix = path.suffix.lower()
        if suffix in TEXT_FORMATS:
            rows = TEXT_FORMATS[suffix](path, choose, encoding)
        else:
            rows = OTHER_FORMATS[suffix](path, choose)
        for number, row in enumerate(rows):
            empty = False
            yield name, number, row
    if empty:
        names = listed(path.name for path in tables)
        raise InputError(f"{folder} holds no rows ({names}): choose another download.dataset")


def has_tables(folder: Path) -> bool:
    tables, _ = _sort_files(folder)
    return bool(tables)


def _find_tables(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run dvc repro download@dataset")
    tables, others = _sort_files(folder)
    names = listed(path.name for path in others)
    if not tables:
        found = f"no table, only {names}" if others else "no files"
        remedy = f"choose a download.dataset with {', '.join(FORMATS)} files"
        if any(path.suffix.lower() in SPREADSHEETS for path in others):
            remedy = "save the sheet as .xlsx or CSV, and name that file"
        elif any(path.suffix.lower() in PACKED_ENDINGS for path in others):
            remedy = "unpack it, and name the file or folder that was in it in download.dataset"
        elif any(path.suffix.lower() == ".txt" for path in others):
            remedy += "; only Anki's exports may end in .txt, so rename a table to .csv or .tsv"
        raise InputError(f"{folder} has {found}: {remedy}")
    if others:
        logger.info(f"skipped files that are not tables of records: {names}")
    for path in tables:
        if path.exists() and not path.is_file():  # opening a pipe would block forever
            raise InputError(f"{path} is a folder, pipe or device, not a file: remove or rename it")
    return tables


def _sort_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the tables and the other files below a folder, each sorted by path."""
    files = set(list_files(folder))
    files = {path for path in files if "/." not in f"/{path.relative_to(folder).as_posix()}"}
    tables = {path for path in files if path.suffix.lower() in FORMATS}
    tables = {path for path in tables if path.name not in METADATA}
    for state in (path for path in files if path.name == "state.json"):
        # The other Arrow files in a save_to_disk folder are caches that repeat the rows.
        tables -= set(state.parent.glob("*.arrow"))
        tables |= set(_list_shards(state))
    tables = {path for path in tables if path.suffix.lower() != ".txt" or _is_anki(path)}
    return sorted(tables), sorted(files - tables)


def _is_anki(path: Path) -> bool:
    return path.is_file() and is_anki_export(path)


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
