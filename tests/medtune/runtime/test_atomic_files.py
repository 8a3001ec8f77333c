import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from medtune.runtime.atomic_files import (
    read_json,
    read_table,
    replacing,
    write_csv,
    write_json,
    write_table,
)
from medtune.runtime.errors import InputError


def test_a_failed_write_leaves_the_earlier_file_and_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [item.name for item in path.iterdir()] == ["new"]


def test_what_a_killed_run_left_behind_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial/rest").touch()
    with replacing(tmp_path / "out") as temporary:
        temporary.write_text("new")
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def test_metrics_are_sorted_rounded_and_null_instead_of_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics" / "x.json"
    write_json(path, {"b": np.float32(1 / 3), "a": float("nan"), "c": np.int64(3)})
    assert path.read_text() == '{\n  "a": null,\n  "b": 0.333333,\n  "c": 3\n}\n'
    assert read_json(path, "x") == json.loads(path.read_text())


def test_a_plot_holds_no_markup(tmp_path: Path) -> None:
    write_csv(tmp_path / "plot.csv", ("kind", "value"), [("</script>", 0.12345678), ("b,c", None)])
    expected = 'kind,value\n‹/script>,0.123457\n"b,c",\n'
    assert (tmp_path / "plot.csv").read_text() == expected


def test_a_spreadsheet_finds_no_formula_in_a_plot(tmp_path: Path) -> None:
    rows = [
        (text, -1) for text in ("=cmd|' /C calc'!A0", "+A1", "-1.5", "@SUM(1)", "\t=1", "5 = 5")
    ]
    write_csv(tmp_path / "plot.csv", ("kind", "value"), rows)
    with (tmp_path / "plot.csv").open(newline="") as lines:
        texts = [kind for kind, value in list(csv.reader(lines))[1:]]
    assert texts == ["'=cmd|' /C calc'!A0", "'+A1", "-1.5", "'@SUM(1)", "'\t=1", "5 = 5"]


def test_a_missing_or_truncated_table_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    with pytest.raises(InputError, match=r"table\.parquet is missing: run dvc repro split"):
        read_table(path, "split")
    write_table(path, pa.table({"x": list(range(1000))}))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="an incomplete Parquet file: run dvc repro -f split"):
        read_table(path, "split")
    with pytest.raises(InputError, match="run dvc repro clean"):
        read_json(tmp_path / "none.json", "clean")
