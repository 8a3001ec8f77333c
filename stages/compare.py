"""Compares base and fine-tuned answers to the same test questions, and writes what people read.

Reads data/predictions/{base,finetuned}.parquet, metrics/{clean,split,tokenize,train}.json,
plots/train/, models/, data/tokens/, all of params.yaml and presets/default.yaml.
Writes metrics/{compare,compare_kinds}.json, plots/compare/, reports/report.html and the model card
models/adapter/README.md. Run: python -m stages.compare
"""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medtune.errors import InputError
from medtune.files import read_json, read_table, replacing, write_csv, write_json
from medtune.model_card import public_source
from medtune.params import load_params
from medtune.records import BIN_WORDS
from medtune.report_page import render_report
from medtune.reports import (
    Facts,
    headline,
    read_curve,
    render_model_card,
    side_by_side,
)
from medtune.run_facts import read_run
from medtune.scores import ROUGE, SCORES, Score
from medtune.stage import run
from medtune.statistics import Settings, compare_tables

logger = logging.getLogger("medtune")

PREDICTIONS = {name: Path(f"data/predictions/{name}.parquet") for name in ("base", "finetuned")}
PROMPT = Path("data/tokens/prompt.json")
ADAPTER = Path("models/adapter/adapter_config.json")
CURVES = {"train": Path("plots/train/train.csv"), "validation": Path("plots/train/validation.csv")}
METRICS = Path("metrics")
UPSTREAM = ("clean", "split", "tokenize", "train")
PLOTS = Path("plots/compare")
REPORT = Path("reports/report.html")
MODEL_CARD = Path("models/adapter/README.md")
SAME_COLUMNS = ("id", "kind", "group", "question", "reference")
SHARES = (*ROUGE, "stopped_rate", "repetition_rate")  # from 0 to 1, so that they share an axis
KIND_SCORES = [score for score in SCORES if score.name in ("rougeL", "perplexity")]


def read_predictions() -> dict[str, pa.Table]:
    """Both models' predictions; raises InputError unless they answer the same rows in order."""
    tables = {model: read_table(path, f"evaluate@{model}") for model, path in PREDICTIONS.items()}
    base, finetuned = tables.values()
    remedy = "run dvc repro -f evaluate@base evaluate@finetuned"
    if base.num_rows != finetuned.num_rows or base.num_rows == 0:
        counts = f"{base.num_rows} and {finetuned.num_rows}"
        raise InputError(f"base and fine-tuned predictions must pair, rows are {counts}: {remedy}")
    for name in SAME_COLUMNS:
        if not base.column(name).equals(finetuned.column(name)):
            raise InputError(f"base and fine-tuned predictions differ in column {name}: {remedy}")
    return tables


def compared(
    tables: dict[str, pa.Table], scores: Sequence[Score], settings: Settings, prefix: str = ""
) -> dict[str, Any]:
    """Scores of both models, flat: "n", "groups", "<score>.<field>", each after the prefix."""
    base = tables["base"]
    flat = {f"{prefix}n": base.num_rows, f"{prefix}groups": len(base.column("group").unique())}
    for name, result in compare_tables(**tables, scores=scores, settings=settings).items():
        flat |= result.flat(f"{prefix}{name}")
    return flat


def compared_kinds(tables: dict[str, pa.Table], settings: Settings) -> dict[str, Any]:
    """ROUGE-L and perplexity of each kind of card, flat: "<kind>.n", "<kind>.rougeL.base" …"""
    flat: dict[str, Any] = {}
    kinds = tables["base"].column("kind")
    for kind in sorted(kinds.unique().to_pylist()):
        rows = {model: table.filter(pc.equal(kinds, kind)) for model, table in tables.items()}
        flat |= compared(rows, KIND_SCORES, settings, f"{kind}.")
    return flat


def write_plots(tables: dict[str, pa.Table], facts: Facts) -> None:
    compare, kinds = facts.metrics["compare"], facts.metrics["compare_kinds"]
    scores = [(name, model, compare[f"{name}.{model}"]) for name in SHARES for model in tables]
    write_csv(PLOTS / "scores.csv", ("score", "model", "value"), scores)
    names = [key.removesuffix(".n") for key in kinds if key.endswith(".n")]
    per_kind = [(k, m, kinds[f"{k}.rougeL.{m}"]) for k in names for m in tables]
    write_csv(PLOTS / "kinds.csv", ("kind", "model", "rougeL"), per_kind)
    questions = []
    for rank, row in enumerate(facts.answers, start=1):
        texts = [row["id"], row["kind"], shorten(row["question"], 80, placeholder=" …")]
        values = (row["base_score"], row["finetuned_score"], row["difference"])
        questions.append((rank, *texts, *values))
    columns = ("rank", "id", "kind", "question", "base", "finetuned", "difference")
    write_csv(PLOTS / "questions.csv", columns, questions)
    words = {model: table.column("words").to_pylist() for model, table in tables.items()}
    words["reference"] = [len(row["reference"].split()) for row in facts.answers]
    write_csv(PLOTS / "answer_words.csv", ("words", "model", "answers"), histogram(words))


def histogram(words: dict[str, list[int]]) -> list[tuple[int, str, int]]:
    """Answers per bin of ten words and model, empty bins too; the name is the lowest count."""
    bins = {model: Counter(n // BIN_WORDS for n in values) for model, values in words.items()}
    last = max(max(counts) for counts in bins.values())
    return [(i * BIN_WORDS, model, bins[model][i]) for i in range(last + 1) for model in bins]


def main() -> None:
    preset, seed, *sections = load_params(
        "preset", "seed", "download", "clean", "split", "tokenize", "train", "evaluate", "compare"
    )
    params = {type(section).__name__.lower(): section.model_dump() for section in sections}
    params["download"] = {name: public_source(uri) for name, uri in params["download"].items()}
    settings = Settings(sections[-1].resamples, sections[-1].confidence, seed)
    tables = read_predictions()
    facts = Facts(
        preset=preset,
        seed=seed,
        params=params,
        metrics={stage: read_json(METRICS / f"{stage}.json", stage) for stage in UPSTREAM},
        curves={name: read_curve(path) for name, path in CURVES.items()},
        answers=side_by_side(tables),
        prompt=read_json(PROMPT, "tokenize"),
        adapter=read_json(ADAPTER, "train"),
        run=read_run(params),
    )
    write_json(METRICS / "compare.json", compared(tables, SCORES, settings))
    write_json(METRICS / "compare_kinds.json", compared_kinds(tables, settings))
    for name in ("compare", "compare_kinds"):  # read back: what people read has the same rounding
        facts.metrics[name] = read_json(METRICS / f"{name}.json", "compare")
    write_plots(tables, facts)
    for path, text in ((REPORT, render_report(facts)), (MODEL_CARD, render_model_card(facts))):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    logger.info(headline(facts.metrics["compare"], settings.confidence))
    n = len(facts.answers)
    logger.info(f"{n} + {n} answers in → {n} pairs, 0 dropped → {REPORT}, {MODEL_CARD}")


if __name__ == "__main__":
    run("compare", main)
