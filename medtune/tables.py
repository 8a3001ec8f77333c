"""Rows of CSV, TSV, JSON, JSON Lines, Parquet and Arrow files, with the exact place of a fault."""

import csv
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from medtune.errors import InputError

logger = logging.getLogger("medtune")

Row = dict[str, Any]

# Written beside the tables by `datasets` and by the hub.
METADATA = {"state.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json"}
FETCH_AGAIN = "fetch it again with dvc repro -f download@dataset"
MEND = "mend it at the source that download.dataset names, then dvc repro -f download@dataset"
SURROGATE = re.compile("[\ud800-\udfff]")


def read_rows(folder: Path, columns: Sequence[str]) -> Iterator[tuple[str, int, Row]]:
    """Yields (file, row number from 0, row) of every table below the folder, sorted by path.

    The file is named by its path inside the folder. Each file's first row must have all `columns`;
    a later JSON object may lack some. Raises InputError for what cannot be read whole, and when
    there is no row.
    """
    tables = _find_tables(folder)
    empty = True
    for path in tables:
        for number, row in enumerate(FORMATS[path.suffix.lower()](path)):
            if number == 0:
                _check_columns(path, row, columns)
            empty = False
            yield path.relative_to(folder).as_posix(), number, row
    if empty:
        names = ", ".join(path.name for path in tables)
        raise InputError(f"{folder} holds no rows ({names}): choose another download.dataset")


def text_of(cell: object) -> str | None:
    """Returns a cell's text, or its number as text; None for all else (null, NaN, list …)."""
    if isinstance(cell, str):
        return SURROGATE.sub("\ufffd", cell)  # JSON can hold halves of characters; UTF-8 cannot
    if isinstance(cell, int | float) and not isinstance(cell, bool) and cell == cell:
        return str(cell)
    return None


def _find_tables(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run dvc repro download@dataset")
    files = {path for path in folder.rglob("*") if not path.is_dir()}
    files = {path for path in files if "/." not in f"/{path.relative_to(folder).as_posix()}"}
    tables = {path for path in files if path.suffix.lower() in FORMATS}
    tables = {path for path in tables if path.name not in METADATA}
    for state in (path for path in files if path.name == "state.json"):
        # Other Arrow files of a save_to_disk folder are caches of `datasets`: the same rows again.
        tables -= set(state.parent.glob("*.arrow"))
        tables |= set(_list_shards(state))
    others = ", ".join(sorted(path.name for path in files - tables))
    if not tables:
        raise InputError(
            f"{folder} holds no table, but {others or 'no file'}: download.dataset must give "
            f"{', '.join(FORMATS)} files, or clean.reader must be hpo"
        )
    if others:
        logger.info(f"not read, since no table of records: {others}")
    return sorted(tables)


def _list_shards(state: Path) -> list[Path]:
    try:
        files = json.loads(_decode(state))["_data_files"]
        shards = [state.with_name(file["filename"]) for file in files]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{state} does not list _data_files as save_to_disk does: {MEND}"
        ) from None
    for shard in shards:
        if not shard.is_file():
            raise InputError(f"{shard} is missing, {state.name} lists it: {FETCH_AGAIN}")
    return shards


def _check_columns(path: Path, row: Row, columns: Sequence[str]) -> None:
    missing = ", ".join(repr(column) for column in columns if column not in row)
    if missing:
        found = ", ".join(map(repr, row))
        raise InputError(
            f"{path} has no column {missing}, it has {found}: "
            "choose the clean.reader that fits, or name the columns in clean.columns"
        )


def _decode(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): {FETCH_AGAIN}") from None


def _read_csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # answers may exceed the module's 128 KiB
    cells = csv.reader(io.StringIO(_decode(path), newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for row in cells:
            if not header:
                header = row
                if len(set(header)) < len(header):
                    raise InputError(
                        f"{path} names two columns alike ({', '.join(header)}): {MEND}"
                    )
            elif row and len(row) != len(header):
                raise InputError(
                    f"{path}, line {line} has {len(row)} cells, the header {len(header)}: "
                    "put cells that hold a separator in double quotes"
                )
            elif row:
                yield dict(zip(header, row, strict=True))
            line = cells.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}, row at line {line}: {error}: double the quotes inside quoted cells"
        ) from None


def _read_json(path: Path) -> Iterator[Row]:
    text = _decode(path)
    if not text.strip():
        return
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            yield from _read_json_lines(path)  # many a .json of the hub is JSON Lines
            return
        raise InputError(f"{path}, line {error.lineno} is not JSON ({error.msg}): {MEND}") from None
    candidates = content.values() if isinstance(content, dict) else [content]
    lists = [rows for rows in candidates if isinstance(rows, list)]
    if len(lists) != 1:
        raise InputError(f"{path} must hold one list of objects, not {len(lists)} lists: {MEND}")
    for number, row in enumerate(lists[0]):
        yield _check_object(row, f"{path}, item {number}")


def _read_json_lines(path: Path) -> Iterator[Row]:
    # Not splitlines(): it would also split at U+2028, which JSON allows inside a text.
    for number, line in enumerate(_decode(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number} is not JSON ({error.msg}): {MEND}") from None
        yield _check_object(row, f"{path}, line {number}")


def _check_object(row: Any, place: str) -> Row:
    if not isinstance(row, dict):
        raise InputError(f"{place} must be an object, not {type(row).__name__}: {MEND}")
    return row


@contextmanager
def _expect_whole(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise InputError(f"{path} holds text that is not UTF-8: {MEND}") from None
    except (pa.ArrowException, OSError):
        raise InputError(f"{path} is damaged or cut off: {FETCH_AGAIN}") from None


def _read_parquet(path: Path) -> Iterator[Row]:
    with _expect_whole(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _read_arrow(path: Path) -> Iterator[Row]:
    with _expect_whole(path), pa.OSFile(str(path)) as file:
        is_random_access = file.read(6) == b"ARROW1"
        file.seek(0)
        if is_random_access:
            yield from pa.ipc.open_file(file).read_all().to_pylist()
        else:
            for batch in pa.ipc.open_stream(file):
                yield from batch.to_pylist()


FORMATS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
}
