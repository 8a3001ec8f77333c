"""Splits the records so that nothing in the test set is in the training set.

Reads data/clean/records.parquet; writes data/split/{train,validation,test}.parquet (the records
and their `group`), data/split/left_out.parquet (the others, and why) and metrics/split.json.
Run: python -m stages.split
"""

import logging
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow.dataset import dataset

from medtune.config.allowed_values import SPLITS, SplitName
from medtune.config.loading import load_params
from medtune.config.schema import Split
from medtune.runtime.atomic_files import read_table, write_json, write_table
from medtune.runtime.errors import InputError
from medtune.runtime.stage import run
from medtune.splits.assignment import assign, over_limit
from medtune.splits.groups import components, group_names, without_boilerplate
from medtune.splits.leaks import REASONS, leak_rates, random_leak_rates, shared_text
from medtune.splits.text_hashes import TextHashes
from medtune.splits.text_reading import read_texts

logger = logging.getLogger("medtune")

RECORDS = Path("data/clean/records.parquet")
SPLIT = Path("data/split")
METRICS = Path("metrics/split.json")
LEFT_OUT = (*REASONS, "over_limit")


def check_counts(params: Split, count: int) -> None:
    if (wanted := sum(params.shares.count(name) or 0 for name in SPLITS)) > count:
        raise InputError(
            f"split.shares asks for {wanted} records, but there are {count}: use fewer or fractions"
        )


def divide(table: pd.DataFrame, texts: TextHashes, params: Split, seed: int) -> pd.DataFrame:
    """Adds the component, group and split of each record, and why it is left out, if it is."""
    linked = components(texts, params.near_duplicate_similarity)
    groups = without_boilerplate(texts, linked, max(1, params.max_group_share * len(table)))
    cut = groups != linked
    if cut.any():
        logger.info(
            f"{cut.sum()} records are in components above split.max_group_share: those with the "
            "same topic or question stay together; validation and test lose others that share text"
        )
    table["component"], table["group"] = linked, group_names(texts, groups)
    table["split"] = assign(table["group"], params, seed)
    table["reason"], partners = shared_text(
        texts, table["split"].to_numpy(), cut, params.near_duplicate_similarity
    )
    table["shares_with"] = table["id"].reindex(partners).array
    return table


def members(table: pd.DataFrame) -> dict[SplitName, np.ndarray]:
    """Returns a mask for each split of the records that are not left out."""
    splits = table["split"].where(table["reason"] == "", "")
    masks = {name: (splits == name).to_numpy() for name in SPLITS}
    if empty := [name for name, mask in masks.items() if not mask.any()]:
        raise InputError(
            f"{len(table)} records in {table['group'].nunique()} groups leave the split "
            f"{' and '.join(empty)} empty ({(splits == '').sum()} left out because they share "
            "text): add data, raise split.max_group_share, or change split.shares or seed"
        )
    return masks


def proven_leaks(texts: TextHashes, masks: dict[SplitName, np.ndarray]) -> dict[str, float]:
    """Returns the leak rates of test against train; asserts that those of all pairs are 0."""
    rates = {(a, b): leak_rates(texts, masks[a], masks[b]) for a, b in combinations(SPLITS, 2)}
    assert not any(rate for pair in rates.values() for rate in pair.values()), rates
    return rates["train", "test"]


def kind_deviation(table: pd.DataFrame) -> float:
    """Returns the largest deviation of a kind's share in a split from its share overall."""
    kept = table[table["reason"] == ""]
    shares = pd.crosstab(kept["split"], kept["kind"], normalize="index")
    return float((shares - table["kind"].value_counts(normalize=True)).abs().to_numpy().max())


def measure(texts: TextHashes, table: pd.DataFrame, seed: int) -> dict[str, float]:
    """Returns the metrics of all records, before limits are applied."""
    masks = members(table)
    by_rows = random_leak_rates(texts, masks["train"].sum(), masks["test"].sum(), seed)
    return {
        "records_in": len(table),
        "groups": table["group"].nunique(),
        "largest_component_share": table["component"].value_counts(normalize=True).iloc[0],
        "largest_group_share": table["group"].value_counts(normalize=True).iloc[0],
        "kind_deviation": kind_deviation(table),
        **{f"leak.{name}": rate for name, rate in proven_leaks(texts, masks).items()},
        **{f"leak_random_split.{name}": rate for name, rate in by_rows.items()},
    }


def apply_limits(table: pd.DataFrame, params: Split, seed: int) -> None:
    """Marks the records that exceed the limit of their split with a reason."""
    counts = table["kind"].value_counts()
    weights = counts.clip(upper=1) if params.balance_kinds else counts
    for name, mask in members(table).items():
        if limit := params.limit(name):
            table.loc[over_limit(table[mask], limit, weights, seed), "reason"] = "over_limit"


def write(table: pd.DataFrame) -> None:
    grouped = read_table(RECORDS, "clean").append_column("group", pa.array(table["group"]))
    for name, mask in members(table).items():
        write_table(SPLIT / f"{name}.parquet", grouped.filter(pa.array(mask)))
    schema = pa.schema([(name, pa.string()) for name in ("id", "split", "reason", "shares_with")])
    left_out = pa.Table.from_pandas(table[table["reason"] != ""], schema, preserve_index=False)
    write_table(SPLIT / "left_out.parquet", left_out)


def main() -> None:
    params, seed = load_params("split", "seed")
    records = read_table(RECORDS, "clean", ["id", "kind"])
    check_counts(params, records.num_rows)
    logger.info(f"grouping {records.num_rows} records by topic and shared text")
    texts = read_texts(dataset(RECORDS))
    table = divide(records.to_pandas(), texts, params, seed)
    measured = measure(texts, table, seed)
    del texts
    apply_limits(table, params, seed)
    write(table)
    sizes = {name: int(mask.sum()) for name, mask in members(table).items()}
    left_out = {reason: int((table["reason"] == reason).sum()) for reason in LEFT_OUT}
    assert len(table) == sum(sizes.values()) + sum(left_out.values())
    write_json(METRICS, measured | sizes | {f"left_out.{name}": n for name, n in left_out.items()})
    for name, size in sizes.items():
        if size < (params.shares.count(name) or 0):
            logger.warning(f"{name} has {size} records, fewer than split.shares.{name}")
    logger.info(
        f"{len(table)} records in {measured['groups']} groups → "
        f"{', '.join(f'{size} {name}' for name, size in sizes.items())}; left out: "
        f"{', '.join(f'{count} {reason}' for reason, count in left_out.items() if count) or 'none'}"
        f" → {SPLIT}/"
    )


if __name__ == "__main__":
    run("split", main)
