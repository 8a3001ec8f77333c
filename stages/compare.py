"""Compares base and fine-tuned answers to the same test questions, and writes what people read.

Reads data/predictions/, data/split/, data/tokens/, metrics/{clean,split,tokenize,train}.json,
plots/train/, models/, all of params.yaml and presets/default.yaml. Writes
metrics/compare.json (the main scores, for DVC), metrics/compare_{scores,kinds,topics,lengths}.json
(all scores with their intervals), plots/compare/, reports/ and the model card
models/adapter/README.md; then fails where compare.fail_if_worse says so.

    python -m stages.compare
"""

import logging
from collections import Counter
from pathlib import Path
from textwrap import shorten

import pyarrow as pa

from medtune.comparison.breakdowns import compared_all, part_names
from medtune.comparison.gate import check_scores
from medtune.comparison.main_scores import main_scores
from medtune.comparison.multiple_choice import compared_choices, read_choices, write_reliability
from medtune.comparison.statistics import Settings
from medtune.config.loading import load_params
from medtune.report.figures import write_figures
from medtune.report.model_card import public_params
from medtune.report.page import render_report
from medtune.report.run_facts import read_run, read_splits
from medtune.report.score_rows import (
    Facts,
    headline,
    read_curve,
    render_model_card,
    side_by_side,
)
from medtune.runtime.errors import InputError
from medtune.runtime.files import read_json, read_table, replacing, write_csv, write_json
from medtune.runtime.stage import run
from medtune.scoring.scores import ROUGE

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
BIN_WORDS = 10  # of the histogram of answer lengths; a bin is named by its lowest count
SAME_COLUMNS = ("id", "kind", "topic", "group", "question", "reference")
# From 0 to 1, so that they share an axis.
SHARES = (*ROUGE, *(f"{name}_rate" for name in ("stopped", "repetition", "unsupported_number")))


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


def write_plots(tables: dict[str, pa.Table], facts: Facts) -> None:
    scores, kinds = facts.metrics["compare_scores"], facts.metrics["compare_kinds"]
    shares = [(name, model, scores[f"{name}.{model}"]) for name in SHARES for model in tables]
    write_csv(PLOTS / "scores.csv", ("score", "model", "value"), shares)
    per_kind = [(k, m, kinds[f"{k}.rougeL.{m}"]) for k in part_names(kinds) for m in tables]
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


def write_metrics(facts: Facts, settings: Settings, tables: dict[str, pa.Table]) -> None:
    """Writes the metrics and reads them back: what people read has the same rounding."""
    results = compared_all(tables, settings)
    results["compare_scores"] |= compared_choices(facts.choices, settings)
    for name, metrics in results.items():
        write_json(METRICS / f"{name}.json", metrics)
        facts.metrics[name] = read_json(METRICS / f"{name}.json", "compare")
    main = main_scores(facts.metrics["compare_scores"], facts.metrics["train"])
    write_json(METRICS / "compare.json", main)


def main() -> None:
    preset, seed, download, clean, split, tokenize, train, evaluate, compare = load_params(
        "preset", "seed", "download", "clean", "split", "tokenize", "train", "evaluate", "compare"
    )
    params = public_params(
        download=download,
        clean=clean,
        split=split,
        tokenize=tokenize,
        train=train,
        evaluate=evaluate,
        compare=compare,
    )
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
        splits=read_splits(),
        choices=read_choices(),
        run=read_run(params),
    )
    write_metrics(facts, Settings(compare.resamples, compare.confidence, seed), tables)
    write_plots(tables, facts)
    write_reliability(PLOTS / "reliability.csv", facts.choices)
    report = render_report(facts, write_figures(facts).values())
    for path, text in ((REPORT, report), (MODEL_CARD, render_model_card(facts))):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    scores = facts.metrics["compare_scores"]
    logger.info(headline(scores, compare.confidence))
    n = len(facts.answers)
    logger.info(f"{n} + {n} answers in → {n} pairs, 0 dropped → {REPORT}, {MODEL_CARD}")
    check_scores(scores, compare.fail_if_worse, str(REPORT))


if __name__ == "__main__":
    run("compare", main)
