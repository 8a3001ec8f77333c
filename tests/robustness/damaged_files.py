"""Valid files of every raw format, and damage to them."""

import io
import json
import random
import zipfile
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from tests.ontology_files import mondo_terms

CELLS = (
    *("What is gout?", "A painful joint disease, mostly of the big toe.", "", " ", "\u2028\u200b"),
    *("µg β °C ≥ ² 中文 עברית", "😀 👩‍⚕️", "a\u0301\u0316" * 40, "\ufeff\u202e\0\x1b[2J", "Ã©â€œ"),
    *("&amp;amp;lt;br&gt;", "<b>x</b><!-- <script>", '"a, ""b"""', "=1+1", "'; DROP TABLE--", "\\"),
    *(
        "<|im_end|>",
        "\ud83d\udc00",
        "NaN",
        "1e999",
        "two\nlines",
        "x" * 3000,
        "[[a|b]] **c** {{d}}",
    ),
)
VALUES: tuple[Any, ...] = (None, True, 7, -0.5, float("nan"), 10**30, ["a"], {"q": "b"}, [[{}]])
TOKENS = (
    *(b'"', b'""', b",", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"{", b"}", b"[", b"]", b":", b"\\u"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xc2", b"\xed\xa0\x80", b"\\ud800", b"\xe2\x80\xa8"),
    *(b"NaN", b"1e999", b"9" * 5000, b"[" * 2000, b'{"q":' * 2000, b'"q": 1, ', b"null", b"-"),
    *(b"PAR1", b"ARROW1", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"../", b"[Term]\nid: A\n"),
    *(number.to_bytes(size, "little") for number in (0, 1, 2**31 - 1) for size in (4, 8)),
    *(b"\xff" * 4, b"\xff" * 8, (2**62).to_bytes(8, "little"), b"\x7f", b"\x80"),
)
OBO = b"""data-version: hp/releases/2025-01-16
[Term]
id: HP:1
name: All
[Term]
id: HP:2
name: Arthritis
def: "Inflammation of a \\"joint\\"." [PMID:2]
synonym: "Joint inflammation" EXACT layperson []
is_a: HP:1 ! All
"""
HPOA = b"database_id\tdisease_name\tqualifier\thpo_id\tevidence\tfrequency\taspect\n" + b"".join(
    b"OMIM:1\tStiff syndrome 2\t\tHP:%d\tPCS\t%s\t%s\n" % cells
    for cells in ((1, b"9/10", b"P"), (2, b"35%", b"P"), (7, b"", b"I"), (3577, b"", b"C"))
)


def make_file(name: str, draw: random.Random) -> bytes:
    """Returns a valid file of the format that the name's suffix says, of at most 8 rows."""
    rows = [(draw.choice(CELLS), draw.choice(CELLS)) for _ in range(draw.randint(0, 8))]
    match name.rpartition(".")[2]:
        case "csv":
            return _separate(rows, ",")
        case "tsv":
            return _separate(rows, "\t")
        case "json":
            content = list(_objects(rows, draw))
            return json.dumps(draw.choice((content, {"data": content}))).encode()
        case "jsonl":
            return "".join(json.dumps(row) + "\n" for row in _objects(rows, draw)).encode()
        case "parquet":
            return _parquet(rows, draw)
        case "arrow":
            return _arrow(rows, draw)
        case "obo":
            return OBO
        case "hpoa":
            return HPOA
        case "zst":
            return compressed(json.dumps(mondo_terms()).encode())
        case "whl":
            return _wheel(rows)
    raise ValueError(name)


def compressed(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def damaged(content: bytes, other: bytes, draw: random.Random) -> bytes:
    """Returns the content after up to eight random edits; `other` is what is spliced in."""
    data = bytearray(content)
    for _ in range(draw.choice((0, 1, 1, 2, 4, 8))):
        start = draw.randint(0, len(data))
        end = min(len(data), start + draw.choice((1, 2, 4, 8, 64)))
        match draw.randrange(8):
            case 0 if start < len(data):
                data[start] ^= 1 << draw.randrange(8)
            case 1:
                data[start:end] = draw.randbytes(end - start)
            case 2:
                del data[start:end]
            case 3:
                data[start:start] = draw.choice(TOKENS)
            case 4:
                token = draw.choice(TOKENS)
                data[start : start + len(token)] = token
            case 5:
                data[start:start] = data[start:end] * draw.choice((1, 2, 50))
            case 6:
                del data[start:]
            case 7:
                place = draw.randint(0, len(other))
                data[start:end] = other[place : place + 64]
    return bytes(data)


def _separate(rows: Iterable[tuple[str, str]], delimiter: str) -> bytes:
    cells = [("q", "a"), *rows]
    quoted = (delimiter.join('"' + c.replace('"', '""') + '"' for c in row) for row in cells)
    return "\r\n".join(quoted).encode("utf-8", "replace")


def _objects(rows: Iterable[tuple[str, str]], draw: random.Random) -> Iterable[dict[str, object]]:
    for question, answer in rows:
        yield {"q": question, "a": draw.choice((answer, answer, draw.choice(VALUES)))}


def _table(rows: list[tuple[str, str]], draw: random.Random) -> pa.Table:
    texts = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in rows]
    questions = pa.array([row[0] for row in texts], pa.string())
    answers = pa.array([row[1] for row in texts], pa.string())
    columns = (
        *(answers, answers.dictionary_encode(), answers.cast(pa.large_string())),
        *(answers.cast(pa.binary()), pa.array([[row[1]] for row in texts], pa.list_(pa.string()))),
        *(pa.array(range(len(texts)), pa.int16()), pa.array([None] * len(texts), pa.float64())),
        pa.array([{"x": row[1]} for row in texts], pa.struct([("x", pa.string())])),
    )
    return pa.table({"q": questions, "a": draw.choice(columns), "other": questions})


def _parquet(rows: list[tuple[str, str]], draw: random.Random) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        _table(rows, draw),
        sink,
        row_group_size=draw.choice((2, 100)),
        compression=draw.choice(("none", "snappy", "zstd", "gzip")),
        use_dictionary=draw.random() < 0.5,
    )
    return sink.getvalue()


def _arrow(rows: list[tuple[str, str]], draw: random.Random) -> bytes:
    sink, table = io.BytesIO(), _table(rows, draw)
    new = draw.choice((pa.ipc.new_stream, pa.ipc.new_file))
    options = pa.ipc.IpcWriteOptions(compression=draw.choice((None, "lz4", "zstd")))
    with new(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=3)
    return sink.getvalue()


def _wheel(rows: Iterable[tuple[str, str]]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cards/a.csv", _separate(rows, ","))
        archive.writestr("cards/b/c.csv", b"q,a\n")
    return sink.getvalue()
