"""Reads the rows of Parquet and Arrow files, a batch at a time.

Only the requested columns are read. Cells become text, numbers, and lists and structs of these;
anything else (binary, dates …) becomes None.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq
from pyarrow import types

from medtune.cards.table_errors import FETCH_AGAIN, FIX_SOURCE, Choose, readable
from medtune.runtime.errors import InputError
from medtune.runtime.table_cells import Row

BATCH_ROWS = 1000
NESTED_ROWS = 8  # their texts may be one long text that all rows share
BATCH_BYTES = 2**26  # for texts from a dictionary
TEXT_TYPES = (pa.string(), pa.large_string())
READ_TYPES = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_integer,
    types.is_floating,
    types.is_decimal,
)


def read_parquet(path: Path, choose: Choose) -> Iterator[Row]:
    with _expect_whole(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        columns = choose(path, schema.names)
        texts = [name for name in columns if schema.field(name).type in TEXT_TYPES]
        most = _rows_at_once(schema, columns)
        with pq.ParquetFile(path, metadata=file.metadata, read_dictionary=texts) as encoded:
            for group in range(file.num_row_groups):
                first = next(encoded.iter_batches(1, row_groups=[group], columns=texts), None)
                longest = _longest_text(first.columns if first else [])
                rows = max(1, min(most, BATCH_BYTES // longest))
                for batch in file.iter_batches(rows, row_groups=[group], columns=list(columns)):
                    yield from _read_batch(batch, columns)


def _longest_text(columns: Iterable[pa.DictionaryArray]) -> int:
    """Returns the bytes of the longest text in the columns' dictionaries, at least 1.

    Parquet stores a text that many rows share only once: a small file can expand to terabytes.
    """
    texts = (column.dictionary for column in columns)
    return max((pc.max(pc.binary_length(values)).as_py() or 1 for values in texts), default=1)


def _rows_at_once(schema: pa.Schema, columns: Iterable[str]) -> int:
    nested = any(types.is_nested(schema.field(name).type) for name in columns)
    return NESTED_ROWS if nested else BATCH_ROWS


def read_arrow(path: Path, choose: Choose) -> Iterator[Row]:
    """Reads a file in either Arrow format, one of the file's own batches at a time."""
    with _expect_whole(path), pa.OSFile(str(path)) as file:
        is_random_access = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_random_access else pa.ipc.open_stream(file)
        columns = choose(path, reader.schema.names)
        if is_random_access:
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            batches = iter(reader)
        for batch in batches:
            yield from _read_batch(batch, columns)


def _read_batch(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[Row]:
    wanted = batch.select(list(columns))
    wanted.validate(full=True)  # Arrow trusts the offsets in a file
    rows = _rows_at_once(wanted.schema, columns)
    for start in range(0, len(wanted), rows):
        part = wanted.slice(start, rows)
        for cells in zip(*map(_read_cells, part.columns), strict=True):
            yield dict(zip(columns, cells, strict=True))


def _read_cells(column: pa.Array) -> list[Any]:
    if types.is_dictionary(column.type):  # decoded, copies of one long text could fill the memory
        cells: dict[int | None, Any] = {None: None}
        for index in column.indices.unique().drop_null().to_pylist():
            cells |= {index: _read_cells(column.dictionary.slice(index, 1))[0]}
        return [cells[index] for index in column.indices.to_pylist()]
    if any(is_type(column.type) for is_type in READ_TYPES):
        return column.to_pylist()
    if types.is_list(column.type) or types.is_large_list(column.type):
        items = iter(_read_cells(column.flatten()))
        lengths = column.value_lengths().to_pylist()
        return [None if size is None else list(islice(items, size)) for size in lengths]
    if types.is_struct(column.type) and column.type.num_fields:
        fields = [field.name for field in column.type]
        values = zip(*map(_read_cells, column.flatten()), strict=True)
        rows = (dict(zip(fields, row, strict=True)) for row in values)
        are_valid = column.is_valid().to_pylist()
        return [row if valid else None for row, valid in zip(rows, are_valid, strict=True)]
    return [None] * len(column)


@contextmanager
def _expect_whole(path: Path) -> Iterator[None]:
    try:
        with readable(path):
            yield
    except RecursionError:
        raise InputError(f"{path} is nested too deeply: {FIX_SOURCE}") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
            raise InputError(f"{path} holds text that is not UTF-8: {FIX_SOURCE}") from None
        raise InputError(f"{path} is damaged or truncated: {FETCH_AGAIN}") from None
