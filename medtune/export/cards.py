"""Writes the cards of each split for inspection, with tables and pictures of what they look like.

Reads data/split/, data/tokens/, metrics/clean.json and metrics/split.json; writes a folder of
CSV, JSON Lines, Parquet, a DatasetDict for `datasets.load_from_disk`, tables/ and figures/.

    medtune export cards
    medtune export cards FOLDER
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medtune.config.loading import load_params
from medtune.export import tables as data_tables
from medtune.export.figures import write_figures
from medtune.export.spreadsheets import as_table, write_spreadsheet
from medtune.export.tables import Cards, read_cards
from medtune.runtime.errors import InputError
from medtune.runtime.files import read_table, replacing, write_table

logger = logging.getLogger("medtune")

BATCH = 1000  # cards
ABOUT = "README.txt"
MARK = "Written by medtune export cards, which replaces this folder whenever it runs."
TEXT = f"""{MARK}

csv/      for spreadsheets: a cell that begins like a formula (= + - @) has an apostrophe before it
jsonl/    the cards as they are, one JSON object a line
parquet/  the cards as they are
dataset/  the cards as they are, for datasets.load_from_disk
tables/   lengths, kinds, sizes, repeated text, leak rates, what was dropped, left out and repaired
figures/  the same as pictures

To make one of the four a data set: download.dataset=file://FOLDER/parquet, clean.reader=columns and
clean.columns={{question: question, answer: answer, kind: kind, topic: topic}}.
"""
ROWS = {  # what is in no split, row by row, save for rows with personal data
    "dropped_rows": Path("data/clean/dropped.parquet"),
    "left_out_cards": Path("data/split/left_out.parquet"),
}
OWN = {ABOUT, "csv", "jsonl", "parquet", "dataset", "tables", "figures"}


def export(folder: Path) -> None:
    """Writes the folder anew; raises InputError for one that holds anything else."""
    check_folder(folder)
    limit = load_params("tokenize").max_length_tokens
    cards = read_cards()
    with replacing(folder) as temporary:
        temporary.mkdir()
        escaped = write_splits(temporary, cards.splits)
        write_tables(temporary / "tables", cards)
        write_figures(temporary / "figures", cards, limit)
        (temporary / ABOUT).write_text(TEXT, encoding="utf-8")
    for line in cards.missing:
        logger.info(f"left out, {line}")
    if escaped:
        logger.info(f"{escaped} cells of the CSV files begin like formulas and got an apostrophe")


def check_folder(folder: Path) -> None:
    """Refuses a folder that is not empty and was not written by this command alone."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    about = folder / ABOUT
    made = ABOUT in names and about.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    others = sorted(names - OWN if made else names)
    if others:
        raise InputError(
            f"{folder} holds {others[0]}, which is no export, and would be replaced: "
            "name another folder, or move it away"
        )


def write_splits(folder: Path, splits: Mapping[str, pa.Table]) -> int:
    """Writes each split in each format; returns how many CSV cells got an apostrophe."""
    for name in ("csv", "jsonl", "parquet"):
        (folder / name).mkdir()
    escaped = 0
    for split, table in splits.items():
        escaped += write_spreadsheet(folder / "csv" / f"{split}.csv", table)
        write_table(folder / "parquet" / f"{split}.parquet", table)
        with (folder / "jsonl" / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for batch in table.to_batches(max_chunksize=BATCH):
                lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
                file.writelines(lines)
        _write_dataset(folder / "dataset" / split, split, table)
    _write_json(folder / "dataset/dataset_dict.json", {"splits": list(splits)})
    return escaped


def write_tables(folder: Path, cards: Cards) -> None:
    folder.mkdir()
    for name, (columns, rows) in data_tables.tables(cards).items():
        write_spreadsheet(folder / f"{name}.csv", as_table(columns, rows))
    for name, path in ROWS.items():
        if path.exists():
            rows = read_table(path, path.parent.name)
            public = rows.filter(pc.not_equal(rows.column("reason"), "personal_data"))
            write_spreadsheet(folder / f"{name}.csv", public)


def _write_dataset(folder: Path, split: str, table: pa.Table) -> None:
    """Writes what `Dataset.save_to_disk` writes (datasets 5), which a user need not install."""
    folder.mkdir(parents=True)
    data = folder / "data-00000-of-00001.arrow"
    with pa.OSFile(str(data), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table, max_chunksize=BATCH)
    with data.open("rb") as file:
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    state: dict[str, Any] = {
        "_data_files": [{"filename": data.name}],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    _write_json(folder / "state.json", state)
    features = {name: {"dtype": "string", "_type": "Value"} for name in table.column_names}
    _write_json(folder / "dataset_info.json", {"features": features})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
