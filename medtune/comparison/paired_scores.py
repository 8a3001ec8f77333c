"""Paired statistics: what changed between base and fine-tuned, and how sure that is.

Both models answered the same questions. Rows of one group (near-duplicates, one topic) are not
independent evidence, so whole groups are resampled and swapped, never single rows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medtune.comparison.confidence_intervals import Settings, Sums, bootstrap, intervals
from medtune.comparison.significance import TOLERANCE, permutation
from medtune.scoring.scores import Array, Score, statistics


@dataclass(frozen=True)
class Comparison:
    """One score of both models. `difference` is fine-tuned minus base; undefined values are NaN.

    `wins`, `ties` and `losses` count rows from the fine-tuned model's side; they are None for
    scores that a single row does not have (BLEU, chrF) or that have no better direction. If not
    all rows count for the score, `counted_rows` and `counted_groups` say how many do.
    """

    base: float
    finetuned: float
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None
    counted_rows: int | None = None
    counted_groups: int | None = None

    def flat(self, name: str) -> dict[str, float]:
        """Returns its fields as "<name>.<field>", without those that are None."""
        return {f"{name}.{key}": value for key, value in asdict(self).items() if value is not None}


def compare_tables(
    base: pa.Table,
    finetuned: pa.Table,
    scores: Sequence[Score],
    settings: Settings,
) -> dict[str, Comparison]:
    """Compares two tables of predictions with the same rows in the same order, by score name.

    Each resample's difference is computed anew from its sums. With one group that counts for a
    score, its interval and p-value are NaN.
    """
    groups = group_numbers(base)
    rows = [(score, statistics(base, score), statistics(finetuned, score)) for score in scores]
    sums = [Sums(score, per_group(b, groups), per_group(f, groups)) for score, b, f in rows]
    low, high, p_values = resampled(sums, settings)
    result = {}
    for i, (score, base_rows, finetuned_rows) in enumerate(rows):
        before = float(score.value(base_rows.sum(axis=0)))
        after = float(score.value(finetuned_rows.sum(axis=0)))
        result[score.name] = Comparison(
            base=before,
            finetuned=after,
            difference=after - before,
            ci_low=float(low[i]),
            ci_high=float(high[i]),
            p_value=float(p_values[i]),
            **wins_ties_losses(score, base_rows, finetuned_rows),
            **counts(Sums(score, base_rows, finetuned_rows), sums[i]),
        )
    return result


def resampled(sums: Sequence[Sums], settings: Settings) -> Array:
    """Returns lower ends, upper ends and p-values, (3, scores), each from the groups that count."""
    result = np.full((3, len(sums)), np.nan)
    same: dict[bytes, list[int]] = {}  # scores by the groups that count for them
    for i, s in enumerate(sums):
        same.setdefault(s.counted.tobytes(), []).append(i)
    for chosen in same.values():
        groups = sums[chosen[0]].counted
        if groups.sum() > 1:
            parts = [sums[i].only(groups) for i in chosen]
            ends = intervals(parts, bootstrap(parts, settings), settings.confidence)
            result[:, chosen] = np.stack([*ends, permutation(parts, settings)])
    return result


def counts(rows: Sums, groups: Sums) -> dict[str, int]:
    """Returns how many rows and groups count for a score; nothing if all rows do."""
    if rows.counted.all():
        return {}
    return {
        "counted_rows": int(rows.counted.sum()),
        "counted_groups": int(groups.counted.sum()),
    }


def wins_ties_losses(score: Score, base: Array, finetuned: Array) -> dict[str, int]:
    """Counts rows where the fine-tuned model is better, equal up to rounding, or worse.

    `base` and `finetuned` are (rows, k). Returns nothing for a score that a single row does not
    have, such as BLEU.
    """
    if score.better == 0 or len(score.columns) == 1:
        return {}
    before, after = score.value(base), score.value(finetuned)
    ties = np.isclose(before, after, rtol=TOLERANCE, atol=0)
    gains = score.better * (after - before)
    outcome = {"wins": ~ties & (gains > 0), "ties": ties, "losses": ~ties & (gains < 0)}
    return {name: int(rows.sum()) for name, rows in outcome.items()}


def group_numbers(table: pa.Table) -> Array:
    """Returns the number of each row's group, from 0, in the order of their names."""
    return pc.rank(table.column("group"), tiebreaker="dense").to_numpy() - 1


def per_group(rows: Array, groups: Array) -> Array:
    """Sums statistics of rows, (rows, k), over each group; `groups` numbers that of each row."""
    sums = np.zeros((groups.max() + 1, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums
