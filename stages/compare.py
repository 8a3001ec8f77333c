"""Compares all systems' answers to the same test questions and writes the report.

Reads data/predictions/, data/split/, data/tokens/, metrics/{clean,split,tokenize,train}.json,
plots/train/, models/, all of params.yaml and presets/default.yaml. Writes
metrics/compare.json (the main scores, for DVC),
metrics/compare_{scores,systems,kinds,topics,lengths}.json (all scores with their intervals),
plots/compare/, reports/ and the model card models/adapter/README.md; then fails if
compare.fail_if_worse says so.

    python -m stages.compare
"""

import logging
from pathlib import Path

import pyarrow as pa

from medtune.comparison.breakdowns import compared_all
from medtune.comparison.choice_accuracy import compared_choices, read_choices
from medtune.comparison.confidence_intervals import Settings
from medtune.comparison.dvc_metrics import main_scores
from medtune.comparison.gate import check_scores
from medtune.comparison.systems import Systems, best_named, compared_systems, read_systems
from medtune.comparison.verdict import verdict_metrics
from medtune.config.loading import load_params
from medtune.config.schema import Compare
from medtune.content.columns import with_content
from medtune.report.answer_rows import side_by_side
from medtune.report.facts import Facts, read_curve
from medtune.report.figures import write_figures
from medtune.report.headline import headline
from medtune.report.model_card import render_model_card
from medtune.report.page import render_report
from medtune.report.plot_data import write_plots
from medtune.report.redaction import public_params
from medtune.report.run_facts import read_run, read_splits
from medtune.runtime.atomic_files import read_json, read_table, replacing, write_json
from medtune.runtime.stage import run
from medtune.scoring.system_names import BASE, FINETUNED

logger = logging.getLogger("medtune")

PROMPT = Path("data/tokens/prompt.json")
ADAPTER = Path("models/adapter/adapter_config.json")
CURVES = {"train": Path("plots/train/train.csv"), "validation": Path("plots/train/validation.csv")}
CARDS = Path("data/split")
METRICS = Path("metrics")
UPSTREAM = ("clean", "split", "tokenize", "train")
REPORT = Path("reports/report.html")
MODEL_CARD = Path("models/adapter/README.md")


def scored_systems() -> dict[str, Systems]:
    """Reads all systems' answers by split, with the scores of content that they get only here."""
    systems = read_systems()
    splits = {name: read_table(CARDS / f"{name}.parquet", "split") for name in (*systems, "train")}
    training = splits.pop("train")
    tables = [table for answers in systems.values() for table in answers.values()]
    together = pa.concat_tables(tables, promote_options="default")
    content = with_content(together, pa.concat_tables(splits.values()), training)
    scored: dict[str, Systems] = {split: {} for split in systems}
    start = 0
    for split, answers in systems.items():
        for name, table in answers.items():
            scored[split][name] = content.slice(start, table.num_rows)
            start += table.num_rows
    return scored


def write_metrics(
    facts: Facts, answers: dict[str, Systems], params: Compare, settings: Settings
) -> None:
    """Writes the metrics and reads them back, so that the report has the same rounding."""
    systems = compared_systems(answers, settings)
    systems |= verdict_metrics(systems, params.primary, params.confidence)
    compared = compared_all(answers["test"], best_named(systems), settings)
    results = {"compare_systems": systems, **compared}
    results["compare_scores"] |= compared_choices(facts.choices, settings)
    for name, metrics in results.items():
        write_json(METRICS / f"{name}.json", metrics)
        facts.metrics[name] = read_json(METRICS / f"{name}.json", "compare")
    written = [facts.metrics[name] for name in ("compare_systems", "compare_scores", "train")]
    write_json(METRICS / "compare.json", main_scores(*written))


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
    answers = scored_systems()
    pair = {name: answers["test"][name] for name in (BASE, FINETUNED)}
    facts = Facts(
        preset=preset,
        seed=seed,
        params=params,
        metrics={stage: read_json(METRICS / f"{stage}.json", stage) for stage in UPSTREAM},
        curves={name: read_curve(path) for name, path in CURVES.items()},
        answers=side_by_side(pair),
        prompt=read_json(PROMPT, "tokenize"),
        adapter=read_json(ADAPTER, "train"),
        splits=read_splits(),
        choices=read_choices(),
        run=read_run(params),
    )
    settings = Settings(compare.resamples, compare.confidence, seed, facts.scores)
    write_metrics(facts, answers, compare, settings)
    write_plots(pair, facts)
    report = render_report(facts, write_figures(facts).values())
    for path, text in ((REPORT, report), (MODEL_CARD, render_model_card(facts))):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    for said in headline(facts.metrics, facts.params):
        logger.info(said)
    n, systems = len(facts.answers), len(answers["test"])
    logger.info(f"{n} test cards × {systems} systems in, 0 dropped → {REPORT}, {MODEL_CARD}")
    check_scores(facts.metrics, compare.fail_if_worse, str(REPORT))


if __name__ == "__main__":
    run("compare", main)
