"""`medtune leaderboard`: one row per experiment, from DVC's own records.

The workspace and the commit that experiments start from are rows too. Prints the table and writes
it to reports/leaderboard.md and reports/leaderboard.csv.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medtune.commands.experiments import Experiment, load_experiments
from medtune.runtime.errors import InputError

if TYPE_CHECKING:
    from medtune.scoring.scores import Score

EXAMPLES = ("medtune leaderboard", "medtune leaderboard --sort perplexity --num -1")
BOARD = Path("reports/leaderboard")
COLUMNS = {
    "lr": "train.lr",
    "rank": "train.r",
    "batch": "train.per_device_train_batch_size",
    "accumulation": "train.gradient_accumulation_steps",
    "epochs": "train.num_train_epochs",
}
SHOWN = ("rougeL", "content_f1")
FIELDS = ("difference", "ci_low", "ci_high")
REMEDIES = {
    "queued": "start with `dvc queue start`",
    "running": "see `dvc queue status`",
    "failed": "see `dvc queue logs NAME`",
    "unreadable": "see `dvc exp show`",
    "without scores": "run `dvc repro`",
    "scored with other parameters": "run `dvc repro`",
}


def differing_params(runs: Sequence[Experiment]) -> list[str]:
    """Returns the parameters that differ between runs and are not in COLUMNS."""
    keys = sorted({key for run in runs for key in run.params} - set(COLUMNS.values()))
    texts = {key: {json.dumps(run.params.get(key)) for run in runs} for key in keys}
    return [key for key in keys if len(texts[key]) > 1]


def records(runs: Sequence[Experiment], scores: Sequence["Score"]) -> list[dict[str, Any]]:
    """Returns the table as it is written to CSV, one mapping per run."""
    more = {key: key for key in differing_params(runs)}
    table = []
    for run in runs:
        record: dict[str, Any] = {"experiment": run.name, "commit": run.commit}
        record |= {name: _plain(run.params.get(key)) for name, key in (COLUMNS | more).items()}
        for score in scores:
            record |= _against_best(run, score.name)
        record["verdict"] = run.systems.get("verdict")
        elapsed_s = run.cost.get("elapsed_s")
        record["minutes"] = None if elapsed_s is None else round(elapsed_s / 60, 1)
        record["device"] = run.cost.get("device")
        table.append(record)
    return table


def _against_best(run: Experiment, score: str) -> dict[str, Any]:
    """Returns a run's score and its lead over the best system without training, which it names.

    Multiple choice, and runs of earlier versions, are compared with the base model alone.
    """
    from medtune.scoring.system_names import BASE, title

    best = run.systems.get(f"best.{score}")
    found, key = (run.systems, f"{best}.{score}") if best else (run.scores, score)
    few_shot = run.params.get("evaluate.few_shot") or 0
    return {
        score: run.scores.get(f"{score}.finetuned"),
        **{f"{score}.{field}": found.get(f"{key}.{field}") for field in FIELDS},
        f"{score}.best": title(best or BASE, few_shot),
    }


def ranked(runs: Sequence[Experiment], sort: str) -> tuple[list[dict[str, Any]], list["Score"]]:
    """Returns the table, best first by a score or else ascending by a column, and its scores."""
    from medtune.report.score_rows import compared_scores
    from medtune.scoring.hf_evaluate_metrics import all_scores

    known = {
        score.name: score
        for run in runs
        for score in compared_scores(run.scores, all_scores(run.params.get("evaluate.metrics", ())))
    }
    shown = [known[name] for name in dict.fromkeys((*SHOWN, sort)) if name in known]
    table = records(runs, shown)
    if sort not in table[0]:
        names = ", ".join([*known, *(name for name in table[0] if name not in known)])
        raise InputError(f"--sort must be one of {names}, got {sort}")
    sign = -1 if sort in known and known[sort].better > 0 else 1

    def order(record: Mapping[str, Any]) -> tuple[bool, float, str]:
        value = record[sort]
        is_number = isinstance(value, int | float)
        return (value is None, sign * value if is_number else 0, "" if is_number else str(value))

    return sorted(table, key=order), shown


def markdown(table: Sequence[Mapping[str, Any]], scores: Sequence["Score"], interval: str) -> str:
    """Returns the table in Markdown whose columns align in a terminal too."""
    from medtune.report.rendering import markdown_table

    rows = [_cells(record, scores, interval) for record in table]
    return markdown_table([list(rows[0]), *(list(row.values()) for row in rows)], len(rows[0]))


def _cells(record: Mapping[str, Any], scores: Sequence["Score"], interval: str) -> dict[str, str]:
    """Returns a run's cells: a score and its fields share one, as do batch and accumulation."""
    from medtune.report.number_formats import number

    by_name = {score.name: score for score in scores}
    cells = {}
    for name, value in record.items():
        if name in by_name:
            title, digits = by_name[name].title, by_name[name].digits
            change, *limits = (number(record[f"{name}.{key}"], digits, sign=True) for key in FIELDS)
            lead = f"{change}, {' to '.join(limits)}, {record[f'{name}.best']}"
            header = f"{title} (minus best without training, {interval})"
            cells[header] = f"{number(value, digits)} ({lead})"
        elif name == "batch":
            cells["batch × accumulation"] = f"{_text(value)} × {_text(record['accumulation'])}"
        elif name != "accumulation" and name.rpartition(".")[0] not in by_name:
            cells[name] = _text(value)
    return cells


def _plain(value: Any) -> int | float | str | None:
    """Returns numbers, text and None unchanged, and anything else as JSON."""
    simple = value is None or isinstance(value, str | float) or type(value) is int
    return value if simple else json.dumps(value, ensure_ascii=False)


def _text(value: float | str | None) -> str:
    from medtune.report.rendering import cell

    return "" if value is None else cell(str(value))


def write_board(sort: str, commits: int) -> str:
    """Writes both files and returns the Markdown table with the remarks below it."""
    from medtune.report.number_formats import percent
    from medtune.runtime.atomic_files import replacing, write_csv

    runs, others = load_experiments(commits)
    said = [f"{why}: {', '.join(names)} ({REMEDIES[why]})" for why, names in others.items()]
    if not runs:
        remedy = "run `dvc repro`, or `dvc exp run -S train.lr=1e-4`"
        raise InputError(f"no run has scores: {'; '.join(said) or remedy}")
    table, scores = ranked(runs, sort)
    confidences = {run.params.get("compare.confidence") for run in runs}
    only = next(iter(confidences)) if len(confidences) == 1 else None
    interval = f"{percent(only)} interval" if only else "interval"
    text = "\n".join([markdown(table, scores, interval), *(f"\n{line}" for line in said)])
    write_csv(BOARD.with_suffix(".csv"), tuple(table[0]), [list(row.values()) for row in table])
    with replacing(BOARD.with_suffix(".md")) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return text


def leaderboard(
    sort: Annotated[
        str,
        typer.Option(
            help="Sort by a score, best first, or by another column, smallest first.",
            metavar="COLUMN",
        ),
    ] = "rougeL",
    num: Annotated[
        int, typer.Option(help="Show the experiments of this many commits; -1 shows all.")
    ] = 1,
) -> None:
    """Rank the experiments by a score.

    A row shows settings, scores and costs. The table is also written to
    reports/leaderboard.md and reports/leaderboard.csv.
    """
    print(write_board(sort, num))
