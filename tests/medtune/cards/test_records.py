"""Rows are written in batches: whole or not at all, and the same bytes each time."""

import pyarrow.parquet as pq
import pytest

from medtune.cards import records
from medtune.cards.records import FIELDS, HISTORY, SCHEMA, Message, batched, writing_rows

ROWS = [(*(f"{field} {n}" for field in FIELDS), "list", [["a", "b"], [str(n)]]) for n in range(7)]


@pytest.mark.parametrize("group", [1, 3, 7, 100])
def test_rows_are_written_in_order_in_row_groups(group, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROW_GROUP", group)
    path = tmp_path / "rows.parquet"
    with writing_rows(path, SCHEMA) as add:
        for row in ROWS:
            add(row)
    assert [tuple(row.values()) for row in pq.read_table(path).to_pylist()] == ROWS
    assert pq.ParquetFile(path).metadata.num_row_groups == -(-len(ROWS) // group)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_no_rows_make_an_empty_table_with_its_columns(tmp_path):
    with writing_rows(tmp_path / "rows.parquet", SCHEMA):
        pass
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.num_rows == 0
    assert table.schema == SCHEMA


@pytest.mark.parametrize("first", [0, 1, 4, 6])
def test_an_optional_column_comes_with_the_first_row_that_fills_it(first, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROW_GROUP", 2)
    path = tmp_path / "rows.parquet"
    said = [Message("user", "Why?"), Message("assistant", "So.")]
    with writing_rows(path, SCHEMA, HISTORY) as add:
        for number, row in enumerate(ROWS):
            add((*row, said if number == first else []))
    table = pq.read_table(path)
    assert table.schema == SCHEMA.append(HISTORY)
    assert table["history"].to_pylist() == [
        [message._asdict() for message in said] if number == first else []
        for number in range(len(ROWS))
    ]
    assert [tuple(row.values()) for row in table.select(SCHEMA.names).to_pylist()] == ROWS
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_without_a_row_that_fills_it_the_file_is_the_same_as_without_the_column(tmp_path):
    with writing_rows(tmp_path / "a.parquet", SCHEMA, HISTORY) as add:
        for row in ROWS:
            add((*row, []))
    with writing_rows(tmp_path / "b.parquet", SCHEMA) as add:
        for row in ROWS:
            add(row)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_batches_have_all_items():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []
