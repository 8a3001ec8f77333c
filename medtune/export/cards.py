"""Writes the cards of each split for inspection, with tables and figures that describe them.

Reads data/split/, data/tokens/, metrics/clean.json and metrics/split.json; writes a folder of
CSV, JSON Lines, Parquet, a DatasetDict for `datasets.load_from_disk`, tables/ and figures/.

    medtune export cards
    medtune export cards FOLDER
"""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from medtune.config.allowed_values import SPLITS
from medtune.config.loading import load_params
from medtune.export import folders
from medtune.export.card_description import draw_figures, make_tables
from medtune.export.folders import check_folder
from medtune.modeling.token_files import HISTORY, TOKENS, read_tokens
from medtune.runtime.atomic_files import inert, read_table, replacing
from medtune.runtime.stage import METRICS

logger = logging.getLogger("medtune")

SPLIT = Path("data/split")
COLUMNS = ["id", "question", "answer", "kind", "topic", "group", "source"]
ABOUT = "README.txt"
MARK = "Written by medtune export cards, which replaces this folder whenever it runs."
TEXT = f"""{MARK}

csv/      for spreadsheets: a cell that begins like a formula (= + - @) has an apostrophe before it
jsonl/    the cards unchanged, one JSON object per line
parquet/  the cards unchanged
dataset/  the cards unchanged, for datasets.load_from_disk
tables/   lengths, kinds, sizes, repeated text, leak rates, what was dropped, left out and repaired
figures/  pictures of what is in tables/

To train on these cards, set download.dataset=file://FOLDER/parquet, clean.reader=columns
and clean.columns={{question: question, answer: answer, kind: kind, topic: topic}}.
"""
ROWS = {  # the rows in no split, except those with personal data
    "dropped_rows": Path("data/clean/dropped.parquet"),
    "left_out_cards": Path("data/split/left_out.parquet"),
}


def export(folder: Path) -> None:
    """Replaces the folder; raises InputError if it has anything else in it."""
    check_folder(folder, ABOUT, MARK, folders.CARDS, "cards")
    limit = load_params("tokenize").max_length_tokens
    cards, metrics = read_cards(), read_metrics()
    tables = make_tables(cards, metrics)
    for name, path in ROWS.items():
        if path.exists():
            rows = read_table(path, path.parent.name).to_pandas()
            tables[name] = rows[rows["reason"] != "personal_data"]
    with replacing(folder) as temporary:
        for name in ("csv", "jsonl", "parquet", "tables", "figures"):
            (temporary / name).mkdir(parents=True)
        escaped = write_splits(temporary, cards)
        for name, table in tables.items():
            write_spreadsheet(temporary / "tables" / f"{name}.csv", table)
        draw_figures(temporary / "figures", cards, tables, limit)
        (temporary / ABOUT).write_text(TEXT, encoding="utf-8")
    if escaped:
        logger.info(f"{escaped} cells of the CSV files begin like formulas and got an apostrophe")


def read_cards() -> pd.DataFrame:
    """Reads the cards of all splits with their lengths; raises InputError if a split is missing."""
    frames = []
    has_tokens = all((TOKENS / f"{name}.arrow").exists() for name in SPLITS)
    for name in SPLITS:
        table = read_table(SPLIT / f"{name}.parquet", "split")
        frame = table.select(COLUMNS).to_pandas()
        if HISTORY.name in table.column_names:
            frame[HISTORY.name] = table[HISTORY.name].to_pylist()
        frame["split"] = pd.Categorical([name] * len(frame), SPLITS)
        for text in ("question", "answer"):
            frame[f"{text}_words"] = frame[text].str.split().str.len()
        if has_tokens:
            rows = read_tokens(TOKENS / f"{name}.arrow")
            lengths = pd.Series(pc.list_value_length(rows["input_ids"]), rows["id"].to_pylist())
            frame["tokens"] = frame["id"].map(lengths.groupby(level=0).max())  # the longest row
        frames.append(frame)
    if not has_tokens:
        logger.info(f"lengths in tokens are left out: run dvc repro tokenize to get {TOKENS}")
    return pd.concat(frames, ignore_index=True)


def read_metrics() -> dict[str, Any]:
    """Reads the metrics of clean and split, as far as they have run."""
    metrics: dict[str, Any] = {}
    for stage, shows in (("clean", "drops and repairs"), ("split", "leak rates")):
        path = METRICS / f"{stage}.json"
        if path.exists():
            metrics |= json.loads(path.read_text(encoding="utf-8"))
        else:
            logger.info(f"{shows} are left out: run dvc repro {stage} to get {path}")
    return metrics


def write_splits(folder: Path, cards: pd.DataFrame) -> int:
    """Writes each split in each format; returns how many CSV cells got an apostrophe."""
    from datasets import Dataset, DatasetDict, Features, List, Value, disable_progress_bars

    disable_progress_bars()
    features = Features({name: Value("string") for name in COLUMNS})
    if HISTORY.name in cards:
        message = {name: Value("string") for name in ("role", "content")}
        features[HISTORY.name] = List(message)
    splits, escaped = DatasetDict(), 0
    for name in SPLITS:
        frame = cards[cards["split"] == name][list(features)]
        splits[name] = Dataset.from_pandas(frame, features, split=name, preserve_index=False)
        splits[name].to_parquet(folder / "parquet" / f"{name}.parquet")
        splits[name].to_json(folder / "jsonl" / f"{name}.jsonl", force_ascii=False)
        if HISTORY.name in frame:
            frame = frame.assign(history=[json.dumps(h, ensure_ascii=False) for h in frame.history])
        escaped += write_spreadsheet(folder / "csv" / f"{name}.csv", frame)
    splits.save_to_disk(folder / "dataset")
    return escaped


def write_spreadsheet(path: Path, table: pd.DataFrame) -> int:
    """Writes a CSV file that is safe to open in a spreadsheet; returns how many cells it changed.

    Texts that would run as formulas get an apostrophe. Without the byte order mark, Excel would
    not read the file as UTF-8.
    """
    safe = table.map(lambda cell: inert(cell) if isinstance(cell, str) else cell)
    safe.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC, encoding="utf-8-sig")
    return int((safe.ne(table) & table.notna()).to_numpy().sum())
