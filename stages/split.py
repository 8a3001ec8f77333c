"""Splits the records so that nothing in the test set stands in the training set.

Reads data/clean/records.parquet; writes data/split/{train,validation,test}.parquet (the records
and their `group`) and metrics/split.json.

    python -m stages.split
"""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medtune.errors import InputError
from medtune.files import read_table, write_json, write_table
from medtune.leaks import groups, leak_rates
from medtune.params import SPLITS, Split, load_params
from medtune.stage import run

logger = logging.getLogger("medtune")

RECORDS = Path("data/clean/records.parquet")
SPLIT = Path("data/split")
METRICS = Path("metrics/split.json")


def uniform(seed: int, key: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the key."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def group_names(records: pd.DataFrame, labels: np.ndarray) -> pd.Series:
    """Names each group after the smallest hash among its topics, so that a new card keeps the name.

    A record without a topic stands for itself.
    """
    keys = records["topic"].where(records["topic"] != "", records["question"])
    names = keys.map(lambda key: hashlib.blake2b(key.encode(), digest_size=8).hexdigest())
    return names.groupby(labels).transform("min")


def assign(names: pd.Series, params: Split, seed: int) -> pd.Series:
    """The split of each record: its group's hash against the cumulated shares.

    Boilerplate can tie a large part of the data into one group; that goes to train.
    """
    borders = [params.shares.test, params.shares.test + params.shares.validation]
    order = np.array(["test", "validation", "train"])
    sizes = names.value_counts()
    positions = {name: uniform(seed, name) for name in sizes.index}
    positions |= dict.fromkeys(
        sizes.index[sizes > max(1, params.max_group_share * len(names))], 1.0
    )
    found = np.searchsorted(borders, names.map(positions), side="right")
    return pd.Series(order[found], index=names.index)


def quotas(counts: pd.Series, limit: int, balanced: bool) -> pd.Series:
    """How many of `limit` records each kind gets: equally many, or its share."""
    if balanced:
        taken, level = counts * 0, 0
        while taken.sum() < limit:  # the next record goes to each kind that has one left
            level += 1
            more = counts.index[counts >= level][: limit - int(taken.sum())]
            taken[more] += 1
        return taken
    exact = limit * counts / counts.sum()
    taken = exact.astype(int)
    by_remainder = (exact - taken).sort_values(ascending=False, kind="stable").index
    taken[by_remainder[: limit - taken.sum()]] += 1
    return taken


def capped(records: pd.DataFrame, limit: int | None, balanced: bool, seed: int) -> pd.DataFrame:
    """At most `limit` records, those with the lowest hashes of each kind."""
    if limit is None or len(records) <= limit:
        return records
    quota = quotas(records["kind"].value_counts().sort_index(), limit, balanced)
    ranks = records["id"].map(lambda key: uniform(seed, key)).groupby(records["kind"]).rank("first")
    return records[ranks <= records["kind"].map(quota)]


def divide(records: pd.DataFrame, params: Split, seed: int) -> dict[str, pd.DataFrame]:
    assigned = assign(records["group"], params, seed)
    parts: dict[str, pd.DataFrame] = {name: records[assigned == name] for name in SPLITS}
    empty = [name for name, part in parts.items() if part.empty]
    if empty:
        raise InputError(
            f"{len(records)} records in {records['group'].nunique()} groups leave the split "
            f"{' and '.join(empty)} empty: add data, raise split.max_group_share, or change "
            "split.shares or seed"
        )
    return parts


def random_leaks(records: pd.DataFrame, train: int, test: int, seed: int) -> dict[str, float]:
    """Leak rates of the row-by-row split of the same sizes that most notebooks use."""
    order = np.random.default_rng(seed).permutation(len(records))
    return leak_rates(records.iloc[order[:train]], records.iloc[order[len(order) - test :]])


def main() -> None:
    params, seed = load_params("split", "seed")
    records = read_table(RECORDS, "clean").to_pandas()
    logger.info(f"grouping {len(records)} records by topic and shared text")
    labels = groups(records, params.near_duplicate_similarity)
    records["group"] = group_names(records, labels)
    whole = divide(records, params, seed)
    leaks = leak_rates(whole["train"], whole["test"])  # of all records, before any is left out
    assert not any(leaks.values()), leaks
    by_rows = random_leaks(records, len(whole["train"]), len(whole["test"]), seed)
    parts = {
        name: capped(part, getattr(params.max_records, name), params.balance_kinds, seed)
        for name, part in whole.items()
    }
    sizes = {name: len(part) for name, part in parts.items()}
    count = records["group"].nunique()
    for name, part in parts.items():
        write_table(SPLIT / f"{name}.parquet", pa.Table.from_pandas(part, preserve_index=False))
    write_json(
        METRICS,
        {
            **sizes,
            "groups": count,
            "largest_group_share": records["group"].value_counts().iloc[0] / len(records),
            **{f"leak.{name}": rate for name, rate in leaks.items()},
            **{f"leak_random_split.{name}": rate for name, rate in by_rows.items()},
        },
    )
    logger.info(
        f"{len(records)} records in {count} groups → {sizes['train']} train, "
        f"{sizes['validation']} validation, {sizes['test']} test, "
        f"{len(records) - sum(sizes.values())} over split.max_records left out: {SPLIT}/"
    )


if __name__ == "__main__":
    run("split", main)
