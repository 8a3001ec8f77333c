"""Rows of Parquet and Arrow files, a batch at a time.

Only the columns that are asked for are read. Of their cells text and numbers are taken; others
(binary, dates, lists, structs …) are None, whatever they hold.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq
from pyarrow import types

from medtune.cards.table_errors import FETCH_AGAIN, MEND, check_columns, readable
from medtune.runtime.cells import Row
from medtune.runtime.errors import InputError

BATCH_ROWS = 1000
BATCH_BYTES = 2**26  # of texts that come from a dictionary
TEXT_TYPES = (pa.string(), pa.large_string())
READ_TYPES = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_integer,
    types.is_floating,
    types.is_decimal,
)


def read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with _expect_whole(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        check_columns(path, schema.names, columns)
        texts = [name for name in columns if schema.field(name).type in TEXT_TYPES]
        with pq.ParquetFile(path, metadata=file.metadata, read_dictionary=texts) as encoded:
            for group in range(file.num_row_groups):
                first = next(encoded.iter_batches(1, row_groups=[group], columns=texts), None)
                longest = _longest_text(first.columns if first else [])
                rows = max(1, min(BATCH_ROWS, BATCH_BYTES // longest))
                for batch in file.iter_batches(rows, row_groups=[group], columns=list(columns)):
                    yield from _read_batch(batch, columns)


def _longest_text(columns: Iterable[pa.DictionaryArray]) -> int:
    """The bytes of the longest text in the dictionaries of columns, at least 1.

    Parquet holds a text once that many rows share: a small file can stand for terabytes.
    """
    texts = (column.dictionary for column in columns)
    return max((pc.max(pc.binary_length(values)).as_py() or 1 for values in texts), default=1)


def read_arrow(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Reads a file of either Arrow format; memory holds one batch, as the writer cut it."""
    with _expect_whole(path), pa.OSFile(str(path)) as file:
        is_random_access = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_random_access else pa.ipc.open_stream(file)
        check_columns(path, reader.schema.names, columns)
        if is_random_access:
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = iter(reader)
        for batch in batches:
            yield from _read_batch(batch, columns)


def _read_batch(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[Row]:
    wanted = batch.select(list(columns))
    wanted.validate(full=True)  # Arrow trusts the offsets that a file gives
    for start in range(0, len(wanted), BATCH_ROWS):
        part = wanted.slice(start, BATCH_ROWS)
        for cells in zip(*map(_read_cells, part.columns), strict=True):
            yield dict(zip(columns, cells, strict=True))


def _read_cells(column: pa.Array) -> list[Any]:
    if types.is_dictionary(column.type):  # decoded, one long text could fill the memory
        cells: dict[int | None, Any] = {None: None}
        for index in column.indices.unique().drop_null().to_pylist():
            cells |= {index: _read_cells(column.dictionary.slice(index, 1))[0]}
        return [cells[index] for index in column.indices.to_pylist()]
    if any(is_type(column.type) for is_type in READ_TYPES):
        return column.to_pylist()
    return [None] * len(column)


@contextmanager
def _expect_whole(path: Path) -> Iterator[None]:
    try:
        with readable(path):
            yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
            raise InputError(f"{path} holds text that is not UTF-8: {MEND}") from None
        raise InputError(f"{path} is damaged or cut off: {FETCH_AGAIN}") from None
