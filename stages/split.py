"""Splits the records so that nothing in the test set stands in the training set.

Reads data/clean/records.parquet; writes data/split/{train,validation,test}.parquet (the records
and their `group`), data/split/left_out.parquet (what is in none, and why) and metrics/split.json.

    python -m stages.split
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medtune.assignment import assign, over_limit
from medtune.errors import InputError
from medtune.files import read_table, write_json, write_table
from medtune.groups import components, without_boilerplate
from medtune.leaks import REASONS, leak_rates, shared_text
from medtune.ngrams import Texts, read_texts
from medtune.params import SPLITS, Split, load_params
from medtune.stage import run

logger = logging.getLogger("medtune")

RECORDS = Path("data/clean/records.parquet")
SPLIT = Path("data/split")
METRICS = Path("metrics/split.json")
LEFT_OUT = (*REASONS, "over_limit")


def group_names(texts: Texts, labels: np.ndarray) -> pd.Series:
    """Names each group after the smallest hash among its topics, so that a new card keeps the name.

    A record without a topic stands for itself, by its question.
    """
    keys = pd.Series(np.where(texts.topic != 0, texts.topic, texts.question))
    codes, names = pd.factorize(keys.groupby(labels).transform("min"))
    return pd.Series(np.array([f"{name:016x}" for name in names], dtype=object)[codes])


def members(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """A mask for each split of the records that are not left out."""
    kept = table["reason"] == ""
    masks = {name: (kept & (table["split"] == name)).to_numpy() for name in SPLITS}
    if empty := [name for name, mask in masks.items() if not mask.any()]:
        raise InputError(
            f"{len(table)} records in {table['group'].nunique()} groups leave the split "
            f"{' and '.join(empty)} empty, {(~kept).sum()} left out because they share text: add "
            "data, raise split.max_group_share, or change split.shares or seed"
        )
    return masks


def proven_leaks(texts: Texts, masks: dict[str, np.ndarray]) -> dict[str, float]:
    """The leak rates of test against train; they, and those of the other pairs, are zero."""
    for known, held in (("train", "validation"), ("validation", "test"), ("train", "test")):
        rates = leak_rates(texts, masks[known], masks[held])
        assert not any(rates.values()), (known, held, rates)
    return rates


def random_leaks(texts: Texts, train: int, test: int, seed: int) -> dict[str, float]:
    """Leak rates of the row-by-row split of the same sizes that most notebooks use."""
    order = np.random.default_rng(seed).permutation(len(texts))
    known, held = np.zeros((2, len(texts)), bool)
    known[order[:train]], held[order[len(order) - test :]] = True, True
    return leak_rates(texts, known, held)


def apply_limits(table: pd.DataFrame, params: Split, seed: int) -> None:
    """Gives a reason to the records for which a split has no room."""
    counts = table["kind"].value_counts()
    weights = counts.clip(upper=1) if params.balance_kinds else counts
    for name, mask in members(table).items():
        if limit := params.limit(name):
            table.loc[over_limit(table[mask], limit, weights, seed), "reason"] = "over_limit"


def kind_deviation(table: pd.DataFrame) -> float:
    """The largest difference, of any kind in any split, from the kind's share of all records."""
    shares = pd.crosstab(table["split"], table["kind"], normalize="index")
    return float((shares - table["kind"].value_counts(normalize=True)).abs().to_numpy().max())


def write(records: pa.Table, table: pd.DataFrame) -> None:
    grouped = records.append_column("group", pa.array(table["group"]))
    for name, mask in members(table).items():
        write_table(SPLIT / f"{name}.parquet", grouped.filter(pa.array(mask)))
    left_out = table.loc[table["reason"] != "", ["id", "split", "reason", "shares_with"]]
    write_table(SPLIT / "left_out.parquet", pa.Table.from_pandas(left_out, preserve_index=False))


def main() -> None:
    params, seed = load_params("split", "seed")
    records = read_table(RECORDS, "clean")
    count = records.num_rows
    if (wanted := sum(params.shares.count(name) or 0 for name in SPLITS)) > count:
        raise InputError(
            f"split.shares asks for {wanted} records, there are {count}: ask for fewer, or for "
            "fractions that add up to 1"
        )
    logger.info(f"grouping {count} records by topic and shared text")
    texts = read_texts(records)
    linked = components(texts, params.near_duplicate_similarity)
    labels = without_boilerplate(texts, linked, max(1, params.max_group_share * count))
    table = records.select(["id", "kind"]).to_pandas()
    table["group"] = group_names(texts, labels)
    table["split"] = assign(table["group"], params, seed)
    table["reason"], partners = shared_text(
        texts, table["split"].to_numpy(), labels != linked, params.near_duplicate_similarity
    )
    table["shares_with"] = table["id"].reindex(partners).to_numpy()
    whole = members(table)
    leaks = proven_leaks(texts, whole)  # of all records, before split.max_records leaves any out
    by_rows = random_leaks(texts, whole["train"].sum(), whole["test"].sum(), seed)
    deviation = kind_deviation(table[table["reason"] == ""])
    apply_limits(table, params, seed)
    write(records, table)
    sizes = {name: int(mask.sum()) for name, mask in members(table).items()}
    left_out = {reason: int((table["reason"] == reason).sum()) for reason in LEFT_OUT}
    write_json(
        METRICS,
        {
            **sizes,
            "records_in": count,
            "groups": table["group"].nunique(),
            "largest_component_share": np.bincount(linked).max() / count,
            "largest_group_share": np.bincount(labels).max() / count,
            "kind_deviation": deviation,
            **{f"left_out.{reason}": number for reason, number in left_out.items()},
            **{f"leak.{name}": rate for name, rate in leaks.items()},
            **{f"leak_random_split.{name}": rate for name, rate in by_rows.items()},
        },
    )
    assert count == sum(sizes.values()) + sum(left_out.values())


if __name__ == "__main__":
    run("split", main)
