"""Builders of hostile files: each writes what its name says into a folder."""

import gzip
import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Build = Callable[[Path], Any]

QUESTION, ANSWER = "What is gout?", "A painful joint disease."
CARD = {"q": QUESTION, "a": ANSWER}
CSV = f"q,a\n{QUESTION},{ANSWER}\n"
BLANKS = "".join(map(chr, (9, 10, 11, 12, 13, 32, 0xA0, 0x1680, *range(0x2000, 0x200B))))
BLANKS += "\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
WORDS = [a + b + c for a in ("ka", "lo", "mi", "ru") for b in "bdfgkl" for c in ("an", "is", "or")]


def good_cards(count: int = 60) -> list[dict[str, str]]:
    """Cards that share nothing, enough of them for all splits."""
    draw = random.Random(0)
    return [
        {"q": f"What is thing {number}?", "a": " ".join(draw.choices(WORDS, k=8))}
        for number in range(count)
    ]


def raw(name: str, content: bytes | str | Callable[[], str]) -> Build:
    """A file; large content comes as a function, so that no test but its own has to hold it."""

    def build(folder: Path) -> None:
        data = content() if callable(content) else content
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)

    return build


def json_lines(rows: Callable[[], Iterable[Any]]) -> Build:
    return raw("a.jsonl", lambda: "".join(json.dumps(row) + "\n" for row in rows()))


def card(question: Any = QUESTION, answer: Any = ANSWER, **more: Any) -> Build:
    return json_lines(lambda: [{"q": question, "a": answer, **more}])


def long_card(word: str, count: int) -> Build:
    return json_lines(lambda: [{"q": QUESTION, "a": word * count}])


def parquet(name: str = "a.parquet", **columns: Any) -> Build:
    return lambda folder: pq.write_table(pa.table(columns), folder / name)


def answers(values: Iterable[Any], type_: Any) -> Build:
    """A Parquet file with good questions and these answers, beside one good card."""
    array = pa.array(values, type_) if not isinstance(values, pa.Array) else values
    questions = [f"What is thing {number}?" for number in range(len(array))]
    return both(parquet(q=questions, a=array), raw("good.csv", CSV))


def both(*builds: Build) -> Build:
    return lambda folder: [build(folder) for build in builds]


def corrupt(build: Build, name: str, place: int, content: bytes) -> Build:
    """Overwrites bytes of a file, `place` counted from its start or, negative, its end."""

    def apply(folder: Path) -> None:
        build(folder)
        whole = bytearray((folder / name).read_bytes())
        start = place % len(whole)
        whole[start : start + len(content)] = content
        (folder / name).write_bytes(whole)

    return apply


def arrow(folder: Path) -> None:
    table = pa.table({"q": [QUESTION] * 50, "a": [ANSWER] * 50})
    with pa.ipc.new_stream(folder / "a.arrow", table.schema) as stream:
        stream.write_table(table)


def arrow_with_wild_offsets(folder: Path) -> None:
    """A text column whose offsets lead far outside its bytes."""
    table = pa.table({"q": [QUESTION], "a": [ANSWER]})
    with pa.ipc.new_stream(folder / "a.arrow", table.schema) as stream:
        stream.write_table(table)
    tame, wild = bytes(4) + len(QUESTION).to_bytes(4, "little"), bytes(4) + b"\0\0\0\x40"
    start, found, end = (folder / "a.arrow").read_bytes().rpartition(tame)
    assert found
    (folder / "a.arrow").write_bytes(start + wild + end)


def saved_with_shard(name: str) -> Build:
    return both(raw("state.json", json.dumps({"_data_files": [{"filename": name}]})), arrow)


def gzip_bomb(name: str) -> Build:
    return lambda folder: (folder / name).write_bytes(gzip.compress(bytes(50_000_000)))


def link(target: str, name: str = "a.csv") -> Build:
    return lambda folder: (folder / name).symlink_to(target)


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "a.csv")


def folder_named_csv(folder: Path) -> None:
    (folder / "x.csv").mkdir()
    (folder / "x.csv" / "a.csv").write_text(CSV)


def locked(*names: str) -> Build:
    """Takes all permissions from files and folders that are there."""
    return lambda folder: [(folder / name).chmod(0) for name in names]


def many_files(folder: Path) -> None:
    for number in range(2500):
        (folder / f"{number}.csv").write_text(f"q,a\nWhat is {number}?,It is number {number}.\n")


def file_named(name: bytes) -> Build:
    return lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text(CSV)


def among_good_cards(**card: str) -> Build:
    return json_lines(lambda: [card, *good_cards()])
