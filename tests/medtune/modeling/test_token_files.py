import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from medtune.modeling.collation import Cards, by_length
from medtune.modeling.token_files import (
    CONVERSATIONS,
    SCHEMA,
    ListColumn,
    columns,
    read_tokens,
    row_lengths,
    texts,
    token_writer,
)

ROWS, TOKENS_PER_ROW = 200_000, 70
IDS = [[5, 6, 7, 2], [8, 2], [], [5, 9, 9, 9, 2]]


def chunked(rows: list[list[int]]) -> pa.ChunkedArray:
    """A column in two chunks, as token files have several batches."""
    return pa.chunked_array([pa.array(own, pa.list_(pa.int32())) for own in (rows[:1], rows[1:])])


def test_a_column_reads_like_the_list_of_its_rows() -> None:
    column = ListColumn(chunked(IDS))
    assert list(column) == IDS and len(column) == len(IDS)
    assert column[-1] == IDS[-1] and column[1:3] == IDS[1:3]
    assert column.lengths == row_lengths(IDS) == [4, 2, 0, 5]
    with pytest.raises(IndexError):
        column[len(IDS)]


def test_a_prompt_is_the_beginning_of_its_row() -> None:
    prompts = ListColumn(chunked(IDS), [3, 1, 0, 2])
    assert list(prompts) == [[5, 6, 7], [8], [], [5, 9]]
    assert row_lengths(prompts) == [3, 1, 0, 2]


def test_columns_that_a_file_lacks_are_left_out(tmp_path: Path) -> None:
    row = {"id": "a", "input_ids": [5, 6, 7, 2], "loss_start": 1}
    talk = row | {"masked_spans": [[2, 3]], "history": [{"role": "user", "content": "b"}]}
    for schema, own in ((SCHEMA, row), (CONVERSATIONS, talk)):
        with token_writer(tmp_path / "own.arrow", schema) as writer:
            writer.write_table(pa.Table.from_pylist([own], schema))
        table = read_tokens(tmp_path / "own.arrow")
        read = columns(table, *Cards._fields)
        assert read.keys() == own.keys() & set(Cards._fields)
        assert {name: list(values) for name, values in read.items()} == {n: [own[n]] for n in read}
        (text,) = texts(table)
        assert (
            text["id"] == "a"
            and "input_ids" not in text
            and text.get("history") == own.get("history")
        )


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    ids = np.full(ROWS * TOKENS_PER_ROW, 300, np.int32)
    offsets = np.arange(0, len(ids) + 1, TOKENS_PER_ROW, dtype=np.int32)
    numbers = pa.array(np.full(ROWS, 40, np.int32))
    values: dict[str, pa.Array] = {"input_ids": pa.ListArray.from_arrays(offsets, ids)}
    values |= {"prompt_length": numbers, "loss_start": numbers}
    values["truncated"] = pa.repeat(False, ROWS)
    names = [values.get(name, pa.repeat("a text of a card", ROWS)) for name in SCHEMA.names]
    with token_writer(tmp_path / "large.arrow") as writer:
        writer.write_table(pa.Table.from_arrays(names, schema=SCHEMA), max_chunksize=10_000)
    return tmp_path / "large.arrow"


@pytest.mark.slow
def test_a_large_file_stays_on_the_disk(large_file: Path) -> None:
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        table = read_tokens(large_file)
        cards = Cards.all(columns(table, *Cards._fields))
        assert sum(cards.supervised_counts()) == 30 * ROWS
        assert len(by_length(row_lengths(cards.input_ids), 1000)) == ROWS // 1000
        assert cards.input_ids[ROWS - 1] == [300] * TOKENS_PER_ROW
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert large_file.stat().st_size > 4 * ROWS * TOKENS_PER_ROW
    assert peak < 100 * ROWS  # bytes: less than two numbers for each row, none for its ids
    assert pa.total_allocated_bytes() - before < 2**20
