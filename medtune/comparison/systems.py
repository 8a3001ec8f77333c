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

from medtune.comparison.confidence_intervals import Settings
from medtune.comparison.paired_scores import compare_tables
from medtune.comparison.significance import effective_groups, too_uneven
from medtune.runtime.atomic_files import read_table
from medtune.runtime.errors import InputError
from medtune.scoring.scores import SCORES, Score, score_table
from medtune.scoring.system_names import BASE, FINETUNED, MODELS, SYSTEMS, UNTRAINED

PREDICTIONS = Path("data/predictions")
RULE_ANSWERS = PREDICTIONS / "baselines.parquet"
SUFFIXES = {"validation": "_validation", "test": ""}  # of the files of models, by split
SAME_COLUMNS = ("id", "kind", "topic", "group", "question", "reference")
# An echoed question ends, repeats nothing and invents no number: only models are measured by these.
SCORES_OF_MODELS = ("perplexity", "stopped_rate", "repetition_rate", "unsupported_number_rate")
BEST = "best."  # before a score: the name of the best system without training
LEAD = ("difference", "ci_low", "ci_high", "p_value", "counted_rows", "counted_groups")

Systems = dict[str, pa.Table]  # the answers of each system, all with the same rows in order


def read_systems() -> dict[str, Systems]:
    """Reads the answers of all systems to the validation and the test cards, by split.

    Systems without rows are switched off and left out. Raises InputError unless all others
    answered the same cards in the same order.
    """
    found = {}
    for split in SUFFIXES:
        tables = {name: read_answers(name, split) for name in SYSTEMS}
        found[split] = {name: table for name, table in tables.items() if table.num_rows}
        _check_rows(found[split], split)
    return found


def read_answers(system: str, split: str = "test") -> pa.Table:
    """Reads a system's answers to the cards of a split; no rows if the system is switched off."""
    if system in MODELS:
        path = PREDICTIONS / f"{system}{SUFFIXES[split]}.parquet"
        return read_table(path, f"evaluate@{system}")
    rules = read_table(RULE_ANSWERS, "baselines")
    chosen = pc.and_(pc.equal(rules["system"], system), pc.equal(rules["split"], split))
    return rules.filter(chosen).drop_columns(["system", "split"])


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


def defined_scores(*tables: pa.Table, scores: Sequence[Score] = SCORES) -> list[Score]:
    """Returns the scores that have a value in each of these tables."""
    values = [score_table(table, scores) for table in tables]
    return [s for s in scores if not any(math.isnan(v.get(s.name, math.nan)) for v in values)]


def compared_systems(answers: Mapping[str, Systems], settings: Settings) -> dict[str, Any]:
    """Returns every system's scores and the fine-tuned model's lead over those without training.

    Flat: "n", "groups", "<system>.<score>" (test), "<system>.<score>.validation",
    "<system>.<score>.difference" and its interval (fine-tuned minus system), and "best.<score>",
    the name of the system without training that is best on the validation cards. If not all cards
    count for a score, "<system>.<score>.counted_rows" says how many do. "groups.effective" is only
    there if a few groups hold most of the cards.
    """
    test, validation = answers["test"], answers["validation"]
    base, finetuned = test[BASE], test[FINETUNED]
    groups = base["group"].to_pylist()
    flat: dict[str, Any] = {"n": base.num_rows, "groups": len(set(groups))}
    if too_uneven(groups):
        flat["groups.effective"] = effective_groups(groups)
    for name, table in test.items():
        for suffix, part in (("", table), (".validation", validation[name])):
            values = score_table(part, settings.scores)
            defined = (score.name for score in defined_scores(part, scores=settings.scores))
            flat |= {f"{name}.{score}{suffix}": values[score] for score in defined}
        if name in UNTRAINED:
            flat |= lead_over_system(name, table, finetuned, settings)
    best = best_untrained(validation, settings.scores).items()
    named = {f"{BEST}{s}": name for s, name in best if f"{name}.{s}.difference" in flat}
    return flat | named


def best_named(flat: Mapping[str, Any]) -> dict[str, str]:
    """Returns the best system without training by score, as flat metrics of all systems name it."""
    return {key.removeprefix(BEST): flat[key] for key in flat if key.startswith(BEST)}


def lead_over_system(
    name: str, table: pa.Table, finetuned: pa.Table, settings: Settings
) -> dict[str, float]:
    """Returns fine-tuned minus this system in each score that both have, with intervals."""
    scores = defined_scores(table, finetuned, scores=settings.scores)
    results = compare_tables(table, finetuned, scores, settings)
    return {
        key: value
        for score, result in results.items()
        for key, value in result.flat(f"{name}.{score}").items()
        if key.rpartition(".")[2] in LEAD
    }


def best_untrained(validation: Systems, scores: Sequence[Score] = SCORES) -> dict[str, str]:
    """Returns the system without training that has the best value, by score.

    Of equal ones it is the first of UNTRAINED. A score without a better direction has none.
    """
    tables = {name: validation[name] for name in UNTRAINED if name in validation}
    values = {name: score_table(table, scores) for name, table in tables.items()}
    best = {}
    for score in scores:
        names = [name for name in values if name in MODELS or score.name not in SCORES_OF_MODELS]
        ranks = {name: score.better * values[name].get(score.name, math.nan) for name in names}
        defined = {name: rank for name, rank in ranks.items() if math.isfinite(rank)}
        if score.better and defined:
            best[score.name] = max(defined, key=defined.__getitem__)
    return best
