"""Every raw format is read alike, and every bad file gets one exact line."""

import gzip
import json
import shutil
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from medtune.cards.file_formats import read_rows
from medtune.cards.table_errors import require
from medtune.runtime.errors import InputError

ROWS = [
    {"q": "What is µ?", "a": "A prefix,\nfor a millionth."},
    {"q": 'Say "é"', "a": "é\u2028as in café"},
]


def read_both(folder):
    return read_rows(folder, require(("q", "a")))


def write_csv(path: Path) -> None:
    cells = [["q", "a"], *([row["q"], row["a"]] for row in ROWS)]
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells]
    path.write_text("\ufeff" + "\r\n".join(quoted) + "\r\n", encoding="utf-8", newline="")


def write_tsv(path: Path) -> None:
    path.write_text(
        'q\ta\nWhat is µ?\t"A prefix,\nfor a millionth."\n"Say ""é"""\té\u2028as in café\n'
    )


def write_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS))


def write_wrapped_json(path: Path) -> None:
    path.write_text(json.dumps({"version": 1, "data": ROWS}, ensure_ascii=False), encoding="utf-8")


def write_json_lines(path: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=1)


def write_arrow_stream(path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.ipc.new_stream(path, table.schema) as stream:
        stream.write_table(table, max_chunksize=1)


def write_feather(path: Path) -> None:
    pa.feather.write_feather(pa.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("cards.csv", write_csv),
        ("cards.TSV", write_tsv),
        ("cards.json", write_json),
        ("wrapped.json", write_wrapped_json),
        ("lines.json", write_json_lines),
        ("cards.jsonl", write_json_lines),
        ("cards.parquet", write_parquet),
        ("stream.arrow", write_arrow_stream),
        ("random_access.arrow", write_feather),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, name, write):
    write(tmp_path / name)
    assert list(read_both(tmp_path)) == [(name, 0, ROWS[0]), (name, 1, ROWS[1])]


def test_files_are_read_in_the_order_of_their_paths(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("b.csv", "a/z.csv", "a/b.csv", ".hidden.csv", ".cache/c.csv", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("q\nx\n")
    assert [name for name, _, _ in read_rows(tmp_path, require(["q"]))] == [
        "a/b.csv",
        "a/z.csv",
        "b.csv",
    ]
    assert caplog.messages == ["skipped files that are not tables of records: README.md"]


def test_a_saved_data_set_is_read_without_its_caches(tmp_path):
    import datasets

    saved = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})
    saved.save_to_disk(tmp_path / "splits")
    assert [row for _, _, row in read_both(tmp_path)] == ROWS
    shutil.rmtree(tmp_path / "splits")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved", num_shards=2)
    write_arrow_stream(tmp_path / "saved" / "cache-0123.arrow")
    assert [row for _, _, row in read_both(tmp_path)] == ROWS
    shard = tmp_path / "saved" / "data-00001-of-00002.arrow"
    shard.unlink()
    with pytest.raises(InputError, match=r"data-00001-of-00002.arrow is missing, but state.json"):
        list(read_rows(tmp_path, require(["q"])))


NESTED = [
    {"m": [{"role": "user", "content": "Hi"}, None], "s": {"text": ["a", None], "at": [1, 2]}},
    {"m": [], "s": None},
    {"m": None, "s": {"text": None, "at": []}},
]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_lists_and_structs_of_texts_are_read_whole(tmp_path, name):
    write = pq.write_table if name == "a.parquet" else pa.feather.write_feather
    write(pa.Table.from_pylist(NESTED * 20), tmp_path / name)
    assert [row for _, _, row in read_rows(tmp_path, require(["m", "s"]))] == NESTED * 20


def test_what_is_no_text_inside_a_list_becomes_none(tmp_path):
    wild = pa.array([[10**17]], pa.list_(pa.timestamp("ms")))
    nothing = pa.array([{}], pa.struct([]))
    pa.feather.write_feather(pa.table({"q": wild, "a": nothing}), tmp_path / "a.arrow")
    assert [row for _, _, row in read_both(tmp_path)] == [{"q": [None], "a": None}]


def test_a_huge_cell_is_read_whole(tmp_path):
    (tmp_path / "cards.csv").write_text("q,a\nlong," + "x" * 300_000 + "\n")
    [(_, _, row)] = read_both(tmp_path)
    assert len(row["a"]) == 300_000


@pytest.mark.parametrize(
    "content", [{"data": [ROWS[0]]}, {"data": {"train": [ROWS[0]]}, "version": 2}]
)
def test_a_list_of_objects_may_be_inside_of_objects(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert [row for _, _, row in read_both(tmp_path)] == [ROWS[0]]


def test_json_lines_may_have_a_byte_order_mark_and_be_named_ndjson(tmp_path):
    (tmp_path / "a.ndjson").write_text(json.dumps(ROWS[0]) + "\n", encoding="utf-8-sig")
    assert [row for _, _, row in read_both(tmp_path)] == [ROWS[0]]


BAD_FILES = [
    ("a.csv", b'q,a\n1,2\n\n"x\ny",2\n1,2,3\n1\n', "a.csv, line 6 has 3 cells, the header has 2: "),
    ("a.csv", b'q,a\n1,2\n"open,2\n3,4\n', "a.csv, row at line 3: unexpected end of data: "),
    ("a.csv", b"q,a,q\n1,2,3\n", "a.csv has two columns of the same name (q, a, q): "),
    ("a.csv", b"\xef\xbb\xbfq,a\ncaf\xe9,2\n", "a.csv is not UTF-8 at byte 10: save it as UTF-8"),
    ("a.csv", b"frage,antwort\n1,2\n", "a.csv has no column 'q', 'a', only 'frage', 'antwort': "),
    ("a.json", b'[\n{"q": 1},\n]', "a.json, line 3 is not JSON ("),
    ("a.json", b'{"q": [1], "a": [2]}', "a.json must hold one list of objects, not 2 lists: "),
    ("a.json", b'{"x": {"x": {"x": {"x": [{"q": 1, "a": 2}]}}}}', "a.json must hold one list"),
    (
        "a.csv",
        gzip.compress(b"q,a\n1,2\n", mtime=0),
        "a.csv is compressed (gzip): unpack it, and name",
    ),
    ("a.csv", b"BZh91AY&SY", "a.csv is compressed (bzip2): unpack it, and name"),
    ("a.csv", b"PK\x03\x04\x14", "a.csv is compressed (a ZIP archive, as Excel workbooks are): "),
    ("a.json", b'"text"', "a.json must hold one list of objects, not 0 lists: "),
    ("a.json", b'[{"q": 1, "a": 2}, 3]', "a.json, item 1 must be an object, not int: "),
    ("a.jsonl", b'{"q": 1, "a": 2}\n\n{"q": \n', "a.jsonl, line 3 is not JSON ("),
    ("a.jsonl", b'{"q": 1, "a": 2}\n[1]\n', "a.jsonl, line 2 must be an object, not list: "),
    (
        "a.parquet",
        b"PAR1 cut off",
        "a.parquet is damaged or truncated: fetch it again with dvc repro",
    ),
    ("a.arrow", b"", "a.arrow is damaged or truncated: fetch it again with dvc repro"),
    ("state.json", b"{}", "state.json does not list _data_files"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_a_bad_file_is_named_with_its_fault(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_both(tmp_path))
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "write"), [("a.parquet", write_parquet), ("a.arrow", write_arrow_stream)]
)
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, name, write):
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    for size in range(16, len(whole) - 16, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=rf"{name} is damaged or truncated|holds no rows"):
            list(read_both(tmp_path))


def test_text_of_parquet_that_is_not_utf8_is_refused(tmp_path):
    broken = pa.array([b"caf\xe9"]).view(pa.string())
    pq.write_table(pa.table({"q": broken}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet holds text that is not UTF-8"):
        list(read_rows(tmp_path, require(["q"])))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "raw is missing: run dvc repro download@dataset"),
        ([], "raw has no files: "),
        (["hp.obo", "notes.pdf"], "raw has no table, only hp.obo, notes.pdf: "),
        (["a.csv.gz"], "raw has no table, only a.csv.gz: unpack it, and name the file or folder"),
        (["empty.csv", "empty.json", "empty.jsonl"], "raw holds no rows (empty.csv, empty.json, "),
    ],
)
def test_a_folder_without_rows_is_named_with_what_it_holds(tmp_path, files, message):
    folder = tmp_path / "raw"
    for name in files or []:
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
    if files == []:
        folder.mkdir()
    with pytest.raises(InputError) as error:
        list(read_rows(folder, require(["q"])))
    assert str(error.value).startswith(f"{tmp_path}/{message}")


def test_a_link_to_nothing_is_an_error_and_not_skipped(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(InputError, match=r"a\.csv can't be read \(No such file or directory\)"):
        list(read_rows(tmp_path, require(["q"])))


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.csv", write_csv), ("a.parquet", write_parquet), ("a.arrow", write_feather)],
)
def test_columns_that_nobody_asked_for_are_not_read(tmp_path, name, write):
    write(tmp_path / name)
    assert [row for _, _, row in read_rows(tmp_path, require(["a"]))] == [
        {"a": row["a"]} for row in ROWS
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", lambda path, rows: path.write_text("q,a\n" + "What is it?,It is long.\n" * rows)),
        (
            "a.jsonl",
            lambda path, rows: path.write_text('{"q": "What?", "a": "It is long."}\n' * rows),
        ),
        (
            "a.json",
            lambda path, rows: path.write_text('{"q": "What?", "a": "It is long."}\n' * rows),
        ),
        ("a.parquet", lambda path, rows: pq.write_table(long_table(rows), path)),
        ("a.arrow", lambda path, rows: pa.feather.write_feather(long_table(rows), path)),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path, name, write):
    def peak(rows):
        write(tmp_path / name, rows)
        tracemalloc.start()
        found = sum(1 for _ in read_both(tmp_path))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found == rows
        return peak_bytes

    peak(10)
    assert peak(20_000) < peak(2000) + 100_000


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", ["a.arrow", "a.parquet", "with_schema.parquet"])
def test_a_text_that_many_rows_share_fills_no_memory(tmp_path, name, nested):
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["x" * 10**7])
    if nested:
        texts = pa.ListArray.from_arrays(pa.array(range(301), pa.int32()), texts)
    table = pa.table({"q": texts})
    if name == "a.arrow":
        pa.feather.write_feather(table, tmp_path / name)
    else:
        pq.write_table(table, tmp_path / name, store_schema=name != "a.parquet")
    pool = pa.default_memory_pool()
    tracemalloc.start()
    before, most = pool.bytes_allocated(), 0
    for _, _, row in read_rows(tmp_path, require(["q"])):
        assert len(row["q"][0] if nested else row["q"]) == 10**7
        most = max(most, pool.bytes_allocated() - before)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes + most < 300_000_000  # and not 3 GB


def long_table(rows):
    return pa.table({"q": ["What is it?"] * rows, "a": ["It is long."] * rows})


@pytest.mark.slow
def test_the_place_of_a_fault_far_into_a_file_is_exact(tmp_path):
    lines = '{"q": "1", "a": "2"}\n' * 100_000
    (tmp_path / "a.jsonl").write_text(lines + "{\n")
    with pytest.raises(InputError, match=r"a\.jsonl, line 100001 is not JSON"):
        list(read_both(tmp_path))
    (tmp_path / "a.jsonl").write_bytes(lines.encode() + b'"\xc3("')
    with pytest.raises(InputError, match=rf"a\.jsonl is not UTF-8 at byte {len(lines) + 1}:"):
        list(read_both(tmp_path))
