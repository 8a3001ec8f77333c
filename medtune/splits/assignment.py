"""Assigns groups to splits, and selects the records to keep in a split of limited size.

Hashes decide both, so that new cards do not move the others.
"""

import hashlib

import numpy as np
import pandas as pd

from medtune.config.schema import Split


def uniform(seed: int, key: str) -> float:
    """Returns a number in [0, 1) that depends only on the seed and the key."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def assign(groups: pd.Series, params: Split, seed: int) -> pd.Series:
    """Returns the split of each record: its group's hash decides, by the cumulative shares.

    A group above `max_group_share`, such as a topic with half of the data, goes to train.
    """
    test, validation = (params.shares.fraction(name) for name in ("test", "validation"))
    sizes = groups.value_counts()
    positions = pd.Series({name: uniform(seed, name) for name in sizes.index})
    positions[sizes > max(1, params.max_group_share * len(groups))] = 1.0
    found = np.searchsorted([test, test + validation], groups.map(positions), side="right")
    return pd.Series(np.array(["test", "validation", "train"])[found], index=groups.index)


def over_limit(records: pd.DataFrame, limit: int, weights: pd.Series, seed: int) -> pd.Index:
    """Returns the index of the records beyond `limit`: those of each kind with the highest hash.

    The kinds take turns in proportion to their weights until they have no records left
    (Sainte-Laguë). `records` has the columns `id` and `kind`, `weights` an entry for each kind.
    """
    hashes = records["id"].map(lambda key: uniform(seed, key))
    ranks = hashes.groupby(records["kind"]).rank("first")
    turns = records[["kind"]].assign(turn=(ranks - 0.5) / records["kind"].map(weights))
    return turns.sort_values(["turn", "kind"]).index[limit:]
