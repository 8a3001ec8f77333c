"""Compares the fine-tuned model with every system that answered the same cards.

The best system without training is picked for each score on the validation cards, and the
fine-tuned model is compared with it on the test cards, so that the choice fits nothing to them.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medtune.comparison.statistics import Settings, compare_tables
from medtune.runtime.errors import InputError
from medtune.runtime.files import read_table
from medtune.scoring.scores import SCORES, Score, statistics
from medtune.scoring.systems import BASE, FINETUNED, MODELS, RULES, SYSTEMS, UNTRAINED

PREDICTIONS = Path("data/predictions")
RULE_ANSWERS = PREDICTIONS / "baselines.parquet"
SUFFIXES = {"validation": "_validation", "test": ""}  # of the files of models, by split
SAME_COLUMNS = ("id", "kind", "topic", "group", "question", "reference")
# An echoed question ends, repeats nothing and invents no number: only models are measured by these.
SCORES_OF_MODELS = ("perplexity", "stopped_rate", "repetition_rate", "unsupported_number_rate")

Systems = dict[str, pa.Table]  # the answers of each system, all with the same rows in order


def read_systems() -> dict[str, Systems]:
    """Reads the answers of all systems to the validation and the test cards, by split.

    Systems without rows are switched off and left out. Raises InputError unless all others
    answered the same cards in the same order.
    """
    rules = read_table(RULE_ANSWERS, "baselines")
    found = {}
    for split, suffix in SUFFIXES.items():
        tables = {
            name: read_table(PREDICTIONS / f"{name}{suffix}.parquet", f"evaluate@{name}")
            for name in MODELS
        }
        for name in RULES:
            chosen = pc.and_(pc.equal(rules["system"], name), pc.equal(rules["split"], split))
            tables[name] = rules.filter(chosen).drop_columns(["system", "split"])
        found[split] = {name: tables[name] for name in SYSTEMS if tables[name].num_rows}
        _check_rows(found[split], split)
    return found


def _check_rows(tables: Systems, split: str) -> None:
    remedy = "run dvc repro -f baselines evaluate"
    for name in (BASE, FINETUNED):
        if name not in tables:
            raise InputError(f"{name} has no answers to the {split} cards: {remedy}")
    base = tables[BASE]
    for name, table in tables.items():
        if table.num_rows != base.num_rows:
            counts = f"{base.num_rows} and {table.num_rows}"
            raise InputError(f"{BASE} and {name} answered {counts} {split} cards: {remedy}")
        for column in SAME_COLUMNS:
            if not table[column].equals(base[column]):
                raise InputError(
                    f"{BASE} and {name} differ in column {column} of the {split} cards: {remedy}"
                )


def scores_of(tables: Mapping[str, pa.Table]) -> list[Score]:
    """Returns the scores that all of these tables define."""
    return [
        score
        for score in SCORES
        if not any(math.isnan(value(table, score)) for table in tables.values())
    ]


def value(table: pa.Table, score: Score) -> float:
    """Returns a score of a table of predictions, NaN if the table lacks its columns or values."""
    if not set(score.columns) <= {"rows", *table.column_names}:
        return math.nan
    return float(score.value(statistics(table, score).sum(axis=0)))


def compared_systems(answers: Mapping[str, Systems], settings: Settings) -> dict[str, Any]:
    """Returns every system's scores and the fine-tuned model's lead over those without training.

    Flat: "n", "groups", "<system>.<score>" (test), "<system>.<score>.validation",
    "<system>.<score>.difference" and its interval (fine-tuned minus system), and "best.<score>",
    the name of the system without training that is best on the validation cards.
    """
    test, validation = answers["test"], answers["validation"]
    base, finetuned = test[BASE], test[FINETUNED]
    flat: dict[str, Any] = {"n": base.num_rows, "groups": len(base["group"].unique())}
    for name, table in test.items():
        for score in scores_of({name: table}):
            flat[f"{name}.{score.name}"] = value(table, score)
            flat[f"{name}.{score.name}.validation"] = value(validation[name], score)
        if name in UNTRAINED:
            flat |= lead(name, table, finetuned, settings)
    flat |= {f"best.{name}": system for name, system in best_untrained(validation).items()}
    return flat


def lead(name: str, table: pa.Table, finetuned: pa.Table, settings: Settings) -> dict[str, float]:
    """Returns fine-tuned minus this system in each score that both have, with intervals."""
    scores = scores_of({name: table, FINETUNED: finetuned})
    fields = ("difference", "ci_low", "ci_high", "p_value")
    results = compare_tables(table, finetuned, scores, settings)
    return {
        f"{name}.{score}.{field}": getattr(result, field)
        for score, result in results.items()
        for field in fields
    }


def best_untrained(validation: Systems) -> dict[str, str]:
    """Returns the system without training that has the best value, by score.

    Of equal ones it is the first of UNTRAINED. A score without a better direction has none.
    """
    best = {}
    for score in SCORES:
        names = MODELS if score.name in SCORES_OF_MODELS else SYSTEMS
        candidates = [name for name in UNTRAINED if name in names and name in validation]
        values = {name: score.better * value(validation[name], score) for name in candidates}
        defined = {name: number for name, number in values.items() if math.isfinite(number)}
        if score.better and defined:
            best[score.name] = max(defined, key=defined.__getitem__)
    return best


def untrained_systems(flat: Mapping[str, Any], score: str) -> Sequence[str]:
    """Returns the systems without training that have this score in flat metrics."""
    return [name for name in UNTRAINED if f"{name}.{score}.difference" in flat]
