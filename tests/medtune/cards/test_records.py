"""Rows are written in batches: whole or not at all, and the same bytes each time."""

import pyarrow.parquet as pq
import pytest

from medtune.cards import records
from medtune.cards.records import FIELDS, SCHEMA, batched, writing_rows

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


def test_an_error_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"earlier")
    with pytest.raises(ZeroDivisionError), writing_rows(path, SCHEMA) as add:
        add(ROWS[0])
        raise ZeroDivisionError
    assert path.read_bytes() == b"earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def test_batches_have_all_items():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []
