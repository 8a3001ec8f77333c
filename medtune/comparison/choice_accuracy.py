"""Compares both models' answers to multiple-choice questions."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medtune.comparison.confidence_intervals import Settings
from medtune.comparison.paired_scores import compare_tables
from medtune.runtime.atomic_files import read_table, write_csv
from medtune.runtime.errors import InputError
from medtune.scoring.calibration import calibration_error, reliability, sets_of
from medtune.scoring.scores import Score

PREDICTIONS = Path("data/predictions")
ACCURACY = Score(
    name="accuracy",
    title="multiple-choice accuracy",
    higher_is_better=True,
    columns=("hit", "rows"),
)
SAME_COLUMNS = ["set", "id", "question", "options", "correct"]


def read_choices() -> dict[str, pa.Table]:
    """Reads both models' answers; raises InputError unless both were asked the same questions."""
    tables = {
        model: read_table(PREDICTIONS / f"{model}_choices.parquet", f"evaluate@{model}")
        for model in ("base", "finetuned")
    }
    if not tables["base"].select(SAME_COLUMNS).equals(tables["finetuned"].select(SAME_COLUMNS)):
        raise InputError(
            "the base and the fine-tuned model were asked different multiple-choice questions: "
            "run dvc repro -f evaluate@base evaluate@finetuned"
        )
    return tables


def compared_choices(tables: dict[str, pa.Table], settings: Settings) -> dict[str, Any]:
    """Returns both models' accuracy on each set, flat "choices.<set>.n", "….accuracy.base" …

    Each question is its own group. The expected calibration error has no interval, because
    resamples are less calibrated than the answers they are drawn from.
    """
    flat: dict[str, Any] = {}
    base, finetuned = (sets_of(table) for table in tables.values())
    for name in base:
        pair = {"base": base[name], "finetuned": finetuned[name]}
        flat[f"choices.{name}.n"] = base[name].num_rows
        scored = {model: _scored(rows) for model, rows in pair.items()}
        result = compare_tables(**scored, scores=[ACCURACY], settings=settings)["accuracy"]
        flat |= result.flat(f"choices.{name}.accuracy")
        errors = {model: calibration_error(rows) for model, rows in pair.items()}
        errors["difference"] = errors["finetuned"] - errors["base"]
        flat |= {f"choices.{name}.ece.{key}": value for key, value in errors.items()}
    return flat


def write_reliability(path: Path, tables: dict[str, pa.Table]) -> None:
    """Writes the points of each model's reliability curve on each set as CSV."""
    points = [
        (model, name, *point)
        for model, table in tables.items()
        for name, rows in sets_of(table).items()
        for point in reliability(rows)
    ]
    write_csv(path, ("model", "set", "answers", "probability", "accuracy"), points)


def _scored(rows: pa.Table) -> pa.Table:
    hits = pc.equal(rows["chosen"], rows["correct"]).cast(pa.int8())
    return pa.table({"group": rows["id"], "hit": hits})
