"""Writes outputs completely or not at all, with the same bytes for the same content."""

import csv
import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medtune.runtime.errors import InputError

DIGITS = 6
# Characters that start a formula in some spreadsheet (OWASP, CSV Injection), also full-width.
FORMULA = r"\A[=+\-@\t\r\n＝＋－＠]"
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Yields an unused temporary path beside `path` and removes it at the end."""
    temporary = path.with_name(f".{path.name}.partial")
    _remove(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path; the file or folder written there then replaces `path`.

    If the block raises, the earlier `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path) as temporary:
        yield temporary
        if path.is_dir():
            _remove(path)
        temporary.replace(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a metrics file: keys sorted, floats rounded to 6 digits, NaN and infinity as null."""
    with replacing(path) as temporary:
        text = json.dumps(_plain(content), indent=2, sort_keys=True, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a plot's data: a header and rows, with floats rounded to 6 significant digits.

    `<` becomes `‹` because DVC copies the data into a script of its HTML page without escaping it.
    Texts that a spreadsheet would run as formulas get an apostrophe.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def inert(text: str) -> str:
    """Puts an apostrophe before a formula, so that no spreadsheet runs it; numbers stay."""
    return f"'{text}" if re.match(FORMULA, text) and not NUMBER.fullmatch(text) else text


def write_table(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, stage: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a Parquet file that `stage` writes; raises InputError that says how to remake it.

    Without `columns`, all are read.
    """
    try:
        return pq.read_table(path, columns=columns)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro {stage}") from None
    except pa.ArrowInvalid:
        raise InputError(
            f"{path} is an incomplete Parquet file: run dvc repro -f {stage}"
        ) from None


def read_arrow(path: Path, stage: str) -> pa.Table:
    """Maps an Arrow file that `stage` writes into memory; raises InputError as `read_table`."""
    try:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro {stage}") from None
    except pa.ArrowInvalid:
        raise InputError(f"{path} is not a whole Arrow file: run dvc repro -f {stage}") from None


def read_json(path: Path, stage: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run dvc repro {stage}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return inert(value.replace("<", "‹"))
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
